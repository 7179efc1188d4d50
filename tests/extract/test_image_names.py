"""Class names and addresses that state what an image is, and names that only contain the word."""

import pytest

from wenlan_data.extract.image_names import reason_of_address, reason_of_names


@pytest.mark.parametrize(
    ("names", "reason", "is_certain"),
    [
        ("avatar", "avatar", True),
        ("lazy post-avatar_32", "avatar", True),
        ("userimage", "avatar", False),
        ("user_face", "avatar", True),
        ("up-face-image", "avatar", True),
        ("author-thumb", "avatar", True),
        ("recipe_user_img", "avatar", False),
        ("index_author__3c", "avatar", False),
        ("brokerInfo", "avatar", False),
        ("AuthorCard", "avatar", False),
        ("bloggerinfo", "avatar", False),
        ("author-info-wrap", "avatar", False),
        ("qrcode_box", "qr_code", True),
        ("site-logo", "logo", True),
        ("ad", "advertisement", False),
        ("share", "share_button", False),
    ],
)
def test_a_name_states_what_an_image_is(names: str, reason: str, is_certain: bool) -> None:
    found = reason_of_names(names)
    assert found is not None
    assert (found.reason, found.is_certain) == (reason, is_certain)


@pytest.mark.parametrize(
    "names",
    ["img portrait", "person", "member", "author-story", "needInitShare", "gallery-icon",
     "photo-share", "photo_ad", "surface", "update", "upload-image", "user-photos",
     "headline-image", "author-works", "info card", "profiles", "article-head-image", "reward", ""],
)  # fmt: skip
def test_a_name_with_another_meaning_states_nothing(names: str) -> None:
    assert reason_of_names(names) is None


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("/avatar/1.jpg", "avatar"),
        ("/img/touxiang_big/1.jpg", "avatar"),
        ("/static/noavatar.gif", "avatar"),
        ("/img/qrcode.png", "qr_code"),
        ("/img/qr537a62.png", "qr_code"),
        ("http://a.cn/adv/1.jpg", "advertisement"),
        ("/img/logo207b62df.png", "logo"),
        ("/img/site-logo.png", "logo"),
        ("/icons/1.png", "icon"),
        ("/img/icon-home.png", "icon"),
        ("/img/home_icon.svg", "icon"),
    ],
)
def test_an_address_states_what_an_image_is(address: str, reason: str) -> None:
    found = reason_of_address(address)
    assert found is not None
    assert found[0] == reason


@pytest.mark.parametrize(
    "address",
    ["/photos/portrait/001.jpg", "/mmbiz_jpg/Qr7tUaLp/640", "/a/1a-qr7b/1.jpg",
     "/m/russian-icon-painting.jpg", "/m/icon_2.jpg",
     "/m/emoji-museum.jpg", "/uploads/banner/2019/1.jpg", "/uploads/banner2024.jpg",
     "/iconic-bridges/1.png", "/m/iconography.png", "/m/adventure/1.jpg", "/m/the-logo-museum.jpg",
     "data:image/png;base64,/avatar/", "http://[/avatar/1.jpg"],
)  # fmt: skip
def test_an_address_with_such_a_word_in_another_name_states_nothing(address: str) -> None:
    assert reason_of_address(address) is None
