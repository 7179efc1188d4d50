"""What never changes the texts of an image that has a container of its own: what stands around the
list of containers, elements around the page, names of classes, the number and the order of the
containers."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wenlan_data.dedupe.captions import choose
from wenlan_data.extract.pairs import page_pairs
from wenlan_data.recipe import load_recipe
from wenlan_data.records import Candidate

PAGE_URL = "http://a.cn/list/index.html"
CAPTION = load_recipe("wenlan").text.caption
MAX_CARDS = 7

PLACES = [
    "湖边",
    "山脚下",
    "老城区",
    "河对岸",
    "村口",
    "码头旁",
    "巷子里",
    "田野间",
    "城墙外",
    "戏台前",
    "渡口边",
    "竹林深处",
]
THINGS = [
    "石桥",
    "木塔",
    "水车",
    "茶馆",
    "灯笼",
    "渔船",
    "磨坊",
    "牌坊",
    "祠堂",
    "古井",
    "粮仓",
    "风车",
]
TELLING = [
    "在清晨的雾里只露出一半",
    "每年春天都要重新上一遍桐油",
    "是几代人一起修起来的",
    "旁边长着三棵很高的银杏树",
    "到了傍晚会亮起暖黄色的光",
    "曾经被大水冲走过两次",
    "如今成了孩子们玩耍的地方",
    "下雪以后看起来格外安静",
]
USERS = ["小城旅人", "阿木", "南山客", "慢慢走", "半夏", "林间风", "老陈", "青禾", "一叶舟", "山月"]


@dataclass(frozen=True)
class Card:
    """A thing with a name and a description."""

    number: int
    name: str
    text: str
    user: str
    alt: str = ""
    more: str = ""
    """A second, shorter sentence in a paragraph of its own."""
    has_image: bool = True

    @property
    def paragraphs(self) -> str:
        """Returns its description as markup."""
        return f"<p>{self.text}</p>" + (f"<p>{self.more}</p>" if self.more else "")


Form = Callable[[Card], str]


def _image(card: Card) -> str:
    alt = f' alt="{card.alt}"' if card.alt else ""
    return f'<img src="/img/{card.number}.jpg"{alt}>' if card.has_image else ""


FORMS: dict[str, tuple[str, Form, str]] = {
    "image on top": (
        '<div class="list">',
        lambda card: (
            f'<div class="card">{_image(card)}<h3>{card.name}</h3><p class="desc">{card.text}</p></div>'
        ),
        "</div>",
    ),
    "image at the left": (
        '<div id="goods">',
        lambda card: (
            f'<div class="item"><div class="pic">{_image(card)}</div><div class="info">'
            f'<span class="name">{card.name}</span>{card.paragraphs}</div></div>'
        ),
        "</div>",
    ),
    "text first": (
        "",
        lambda card: f'<div class="box">{card.paragraphs}<div>{_image(card)}</div></div>',
        "",
    ),
    "heading and text first": (
        "<main>",
        lambda card: (
            f'<section class="part"><h2>{card.name}</h2>{card.paragraphs}{_image(card)}</section>'
        ),
        "</main>",
    ),
    "badge": (
        '<ul class="works">',
        lambda card: (
            f'<li class="work"><i class="tag">馆藏</i>{_image(card)}<b>{card.name}</b>'
            f"{card.paragraphs}</li>"
        ),
        "</ul>",
    ),
    "link to the thing": (
        '<ul class="tiles">',
        lambda card: (
            f'<li><a href="/thing/{card.number}.html">{_image(card)}{card.paragraphs}</a></li>'
        ),
        "</ul>",
    ),
    "table row": (
        "<table>",
        lambda card: f"<tr><td>{_image(card)}</td><td>{card.name}</td><td>{card.text}</td></tr>",
        "</table>",
    ),
    "table row, image last": (
        "<table>",
        lambda card: f"<tr><td>{card.text}</td><td>{_image(card)}</td></tr>",
        "</table>",
    ),
    "list item": ("<ol>", lambda card: f"<li>{card.text}<br>{_image(card)}</li>", "</ol>"),
    "list item, image first": ("<ul>", lambda card: f"<li>{_image(card)}{card.text}</li>", "</ul>"),
    "post": (
        '<div class="feed">',
        lambda card: (
            f'<article class="post"><header><b class="user">{card.user}</b><time>2024-05-{10 + card.number}</time>'
            f"</header>{card.paragraphs}<div>{_image(card)}</div></article>"
        ),
        "</div>",
    ),
    "figure": (
        "",
        lambda card: f"<figure>{_image(card)}<figcaption>{card.text}</figcaption></figure>",
        "",
    ),
    "lists of terms": (
        "",
        lambda card: f"<dl><dt>{card.name}</dt><dd>{_image(card)}</dd><dd>{card.text}</dd></dl>",
        "",
    ),
    "list of terms": (
        "<dl>",
        lambda card: f"<dt>{card.name}</dt><dd>{_image(card)}{card.paragraphs}</dd>",
        "</dl>",
    ),
}
"""What stands before the cards of a list, the card, and what stands after them."""


@dataclass(frozen=True)
class Listing:
    """A page with a list of cards."""

    form: str
    cards: tuple[Card, ...]
    heading: str = ""
    intro: str = ""

    def body(self) -> str:
        """Returns its markup without `html` and `body`."""
        before, card, after = FORMS[self.form]
        heading = f"<h1>{self.heading}</h1>" if self.heading else ""
        intro = f"<p>{self.intro}</p>" if self.intro else ""
        return heading + intro + before + "\n".join(map(card, self.cards)) + after


@st.composite
def _listings(draw: st.DrawFn) -> Listing:
    count = draw(st.integers(2, MAX_CARDS))

    def some(words: Sequence[str]) -> list[str]:
        return draw(st.permutations(words))[: count + 1]

    named = zip(some(PLACES), some(THINGS), some(TELLING), some(USERS), strict=True)
    has_alt, has_more = draw(st.booleans()), draw(st.booleans())
    form = draw(st.sampled_from(list(FORMS)))
    # A `dt` stands outside the container: it is found by counting, which fails where one is missing.
    missing = -1 if form == "list of terms" else draw(st.integers(-1, MAX_CARDS))
    cards = [
        Card(
            number,
            place[:2] + thing,
            f"{place}的{thing}{telling}。",
            user,
            alt=place[:2] + thing if has_alt else "",
            more=f"{user}去年来过两次。" if has_more else "",
            has_image=number != missing,
        )
        for number, (place, thing, telling, user) in enumerate(named)
    ]
    return Listing(
        form,
        tuple(cards),
        draw(st.sampled_from(["", "水乡旧物", "我们在路上看到的几样东西"])),
        draw(st.sampled_from(["", "下面这些都是去年秋天走访时记下来的，按看到的先后排列。"])),
    )


Found = dict[str, tuple[list[str], str]]


def _found(body: str) -> Found:
    """The texts and the caption of each image of the list, by its path."""
    found = {}
    for row in page_pairs(f"<html><body>{body}</body></html>", PAGE_URL):
        if isinstance(row, Candidate) and "/img/" in row.url:
            texts = [text for text in row.texts if text.type not in {"page_title", "keywords"}]
            assert row.no_content is None
            found[row.url] = sorted(text.text for text in texts), choose(texts, CAPTION)[0]
    return found


NAV = """<div class="topnav"><ul><li><a href="/">首页</a></li><li><a href="/list/">旧物</a></li>
<li><a href="/map/">地图上的村子</a></li><li><a href="/about.html">关于我们</a></li></ul></div>"""
SIDEBAR = """<aside class="sidebar"><h3>热门文章</h3><ul><li><a href="/a/81.html"><img src="/t/81.jpg">
</a><a href="/a/81.html">一座灯塔的十二个月</a></li><li><a href="/a/82.html"><img src="/t/82.jpg"></a>
<a href="/a/82.html">怎样挑选一把好用的竹椅</a></li></ul></aside>"""
FOOTER = """<div class="footer"><p>版权所有 水乡旧物网</p><p><a href="/contact.html">联系我们</a>
<a href="/map.html">网站地图</a></p><img src="/t/police.png" alt="公安备案"></div>"""
AROUND: dict[str, Callable[[str], str]] = {
    "navigation": lambda body: NAV + body,
    "sidebar before": lambda body: SIDEBAR + body,
    "sidebar after": lambda body: body + SIDEBAR,
    "footer": lambda body: body + FOOTER,
    "everything": lambda body: f'{NAV}<div id="main">{body}</div>{SIDEBAR}{FOOTER}',
    "one div": lambda body: f"<div>{body}</div>",
    "many divs": lambda body: "<div>" * 30 + body + "</div>" * 30,
}


@pytest.mark.parametrize("around", AROUND)
@settings(max_examples=60, deadline=None)
@given(listing=_listings())
def test_what_stands_around_a_list_changes_nothing(around: str, listing: Listing) -> None:
    body = listing.body()
    found = _found(body)
    assert len(found) == sum(card.has_image for card in listing.cards)
    assert _found(AROUND[around](body)) == found


@settings(max_examples=150, deadline=None)
@given(
    listing=_listings(),
    names=st.permutations([f"{one}{two}{one}" for one in "bcdfgh" for two in "klmnpq"]),
)
def test_the_names_of_classes_change_nothing(listing: Listing, names: Sequence[str]) -> None:
    body = listing.body()
    known: dict[str, str] = {}

    def renamed(match: re.Match[str]) -> str:
        name = known.setdefault(match[2], names[len(known)])
        return f'{match[1]}="{name}"'

    assert _found(re.sub(r'\b(class|id)="([^"]+)"', renamed, body)) == _found(body)


@settings(max_examples=150, deadline=None)
@given(listing=_listings())
def test_another_card_at_the_end_changes_nothing(listing: Listing) -> None:
    fewer = replace(listing, cards=listing.cards[:-1])
    # One card with an image is no list: the text around it is about the image, too.
    assume(sum(card.has_image for card in fewer.cards) > 1)
    found = _found(listing.body())
    assert {url: found[url] for url in _found(fewer.body())} == _found(fewer.body())


@settings(max_examples=150, deadline=None)
@given(listing=_listings())
def test_the_order_of_the_cards_permutes_the_pairs(listing: Listing) -> None:
    turned = replace(listing, cards=listing.cards[::-1])
    assert _found(turned.body()) == _found(listing.body())


@settings(max_examples=200, deadline=None)
@given(listing=_listings())
def test_each_image_of_a_list_has_the_texts_of_its_own_card_alone(listing: Listing) -> None:
    found = _found(listing.body())
    for card in listing.cards:
        if not card.has_image:
            continue
        texts, caption = found[f"http://a.cn/img/{card.number}.jpg"]
        assert card.text in " ".join(texts)
        assert caption == card.alt or caption == card.text
        others = [one for one in listing.cards if one is not card]
        assert not [one for one in others if one.text in texts or one.name in texts]
