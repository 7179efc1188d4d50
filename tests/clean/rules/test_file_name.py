import pytest

from tests.conformance import check_rule
from wenlan_data.clean.rules.file_name import FileName
from wenlan_data.records import Drop


def test_file_name_is_a_rule() -> None:
    check_rule(FileName())


@pytest.mark.parametrize(
    "text",
    [
        "IMG_20230512_103045.jpg",
        "DSC08606",
        "微信图片_20231001123456.jpg",
        "屏幕截图 2023-05-12 093015.png",
        "截屏2023-08-01 上午9.15.22",
        "C:\\照片\\春游 (2).JPG",
        "/uploads/2023/a.webp?x=1",
        "春天的照片合集/最终修改版-03.jpg",
        "u=3204911421,2731&fm=26.jpg",
        "未命名-1.psd",
        "e3b0c44298fc1c149afbf4c8996fb924",
    ],
)
def test_names_of_files_are_rejected(text: str) -> None:
    assert FileName()(text) == Drop("file_name")


@pytest.mark.parametrize(
    "text",
    [
        "手机截图",
        "把HEIC照片转换成JPG格式",
        "在终端里打开配置文件config.txt",
        "2024",
        "第3版封面",
        "他说：a.jpg",
    ],
)
def test_captions_that_speak_of_files_stay(text: str) -> None:
    assert FileName()(text) == text


def test_a_long_run_of_digits_takes_no_time() -> None:
    assert FileName()("IMG_" + "1" * 240 + "猫") == "IMG_" + "1" * 240 + "猫"
