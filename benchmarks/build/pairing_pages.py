"""Writes pages of emoji cards in structures of Chinese sites, with the emoji of each image known.

A structure is a nesting of elements with its class names: species cards, media objects, definition
lists, albums, tables, news. The caller's generator decides everything that is drawn.
"""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CARDS_A_PAGE = (8, 24)
COLUMNS = 3
SPACER = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
SENTENCES = (
    "{name}常常让人想到{tags}。",
    "说起{name}，大家会提到{tags}。",
    "{tags}，这些词都可以用来介绍{name}。",
    "与{name}有关的词语包括{tags}。",
    "搜索{tags}时，可以找到{name}。",
    "聊天时用到{name}，多半是在谈论{tags}。",
)
FILLERS = (
    "不少居民表示，生活环境一天比一天好，出门走走成了习惯。",
    "活动持续到月底结束，全程免费，需要提前预约。",
    "为了方便大家，社区设立了服务点，每天早上开放。",
    "下一步，当地将继续完善配套服务，让更多人受益。",
    "有关情况，本站将持续关注。",
)
TITLES = ("新区见闻", "周末记事", "小城故事", "街角好时光", "河湾一日")


@dataclass(frozen=True, slots=True, kw_only=True)
class Emoji:
    """An emoji: code points joined by dashes, its label, and tags that contain no label."""

    code: str
    name: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A drawing of an emoji on a page, with a name and a description that contains the name."""

    url: str
    name: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What is true of the written pages, by the path of an image."""

    names: dict[str, str]
    structures: dict[str, str]
    pages: int


Structure = Callable[[Sequence[Card], Sequence[str]], str]


def describe(emoji: Emoji, rng: random.Random) -> str:
    """Returns a sentence with the label and up to three tags."""
    tags = rng.sample(emoji.tags, min(len(emoji.tags), rng.randint(2, 3)))
    return rng.choice(SENTENCES).format(name=emoji.name, tags="、".join(tags))


def write_site(
    root: Path, drawings: dict[str, Path], emoji: Sequence[Emoji], rng: random.Random
) -> Site:
    """Writes `index.html` and pages, each in one of `STRUCTURES`; every drawing is on one page.

    `drawings` names a folder of `CODE.png` for each style. A page shows emoji of one style, each
    once. Images get names that reveal neither emoji nor style.
    """
    names: dict[str, str] = {}
    structures: dict[str, str] = {}
    links: list[str] = []
    for folder in drawings.values():
        for group in _groups(emoji, rng):
            number = len(links) + 1
            structure = list(STRUCTURES)[number % len(STRUCTURES)]
            cards = [_place(root, folder, one, rng) for one in group]
            names |= {f"/{card.url}": card.name for card in cards}
            structures |= {f"/{card.url}": structure for card in cards}
            title = f"{rng.choice(TITLES)}：第{number}期"
            body = STRUCTURES[structure](cards, rng.sample(FILLERS, len(FILLERS)))
            _write(root / "a" / f"{number}.html", title, body)
            links.append(f'<li><a href="/a/{number}.html">{title}</a></li>')
    _write(root / "index.html", "全部期数", f"<ul>{''.join(links)}</ul>")
    return Site(names=names, structures=structures, pages=len(links))


def _groups(emoji: Sequence[Emoji], rng: random.Random) -> Iterator[list[Emoji]]:
    left = rng.sample(emoji, len(emoji))
    while left:
        many = rng.randint(*CARDS_A_PAGE)
        # The last page takes what would not fill one of its own.
        many = len(left) if len(left) - many < CARDS_A_PAGE[0] else many
        yield left[:many]
        left = left[many:]


def _place(root: Path, folder: Path, emoji: Emoji, rng: random.Random) -> Card:
    url = f"upload/2019/{rng.getrandbits(64):016x}.png"
    target = root / url
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(folder / f"{emoji.code}.png", target)
    return Card(url=url, name=emoji.name, description=describe(emoji, rng))


def _write(path: Path, title: str, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = (
        '<!DOCTYPE html>\n<html lang="zh-CN"><head><meta charset="utf-8">'
        f"<title>{title}_知园</title></head>\n<body><div class='header'>"
        '<a href="/index.html">首页</a></div>\n'
        f'<div class="content-wrapper"><h1>{title}</h1>{body}</div>\n'
        '<div class="footer"><span>知园 版权所有</span></div></body></html>\n'
    )
    path.write_text(text, encoding="utf-8")


def _image_on_top(cards: Sequence[Card], _fillers: Sequence[str]) -> str:
    return (
        '<div class="species-grid">'
        + "\n".join(
            f'<div class="species-card"><div class="card-image"><img src="/{card.url}">'
            '<div class="badge">LC</div></div><div class="card-content">'
            f'<h3 class="species-name">{card.name}</h3>'
            f'<p class="species-desc">{card.description}</p></div></div>'
            for card in cards
        )
        + "</div>"
    )


def _image_left(cards: Sequence[Card], fillers: Sequence[str]) -> str:
    return f"<p>{fillers[0]}{fillers[1]}</p>" + "\n".join(
        '<div class="media"><div class="media-left"><a href="#">'
        f'<img class="media-object" src="/{card.url}" alt=""></a></div><div class="media-body">'
        f'<h4 class="media-heading">{card.name}</h4>{card.description}'
        '<div class="tags"><span>馆藏</span><span>已核对</span></div></div></div>'
        for card in cards
    )


def _text_first(cards: Sequence[Card], _fillers: Sequence[str]) -> str:
    return (
        '<ul class="exhibit-list">'
        + "\n".join(
            f'<li class="exhibit"><h3>{card.name}</h3><p class="intro">{card.description}</p>'
            f'<div class="pic"><img src="/{card.url}" alt="展品图片"></div></li>'
            for card in cards
        )
        + "</ul>"
    )


def _definition_lists(cards: Sequence[Card], _fillers: Sequence[str]) -> str:
    return (
        '<div class="piclist">'
        + "\n".join(
            f'<dl class="item"><dt><a href="#"><img src="/{card.url}" width="180"></a></dt>'
            f"<dd>{card.description}</dd></dl>"
            for card in cards
        )
        + '<div class="clear"></div></div>'
    )


def _album(cards: Sequence[Card], _fillers: Sequence[str]) -> str:
    return (
        '<ul class="list j-pl-photolist-ul">'
        + "\n".join(
            '<li class="j-pl-photoitem"><div class="item-bd"><div class="item-cover">'
            f'<a class="js-photo" href="#"><img class="j-pl-photoitem-img" data-src="/{card.url}" '
            f'src="{SPACER}"></a></div><div class="item-ft"><div class="item-tit js-photo-name">'
            f'{card.description}</div><div class="item-date">2016-07-{10 + number % 20}</div>'
            "</div></div></li>"
            for number, card in enumerate(cards)
        )
        + "</ul>"
    )


def _header_row(cards: Sequence[Card], fillers: Sequence[str]) -> str:
    rows = []
    for start in range(0, len(cards), COLUMNS):
        part = cards[start : start + COLUMNS]
        cells = [
            "".join(f"<th>{card.name}</th>" for card in part),
            "".join(f'<td><img src="/{card.url}"></td>' for card in part),
            "".join(f"<td>{card.description}</td>" for card in part),
        ]
        rows.append("".join(f"<tr>{row}</tr>" for row in cells))
    return (
        f'<p>{fillers[0]}{fillers[1]}</p><table class="wikitable"><tbody>'
        + "\n".join(rows)
        + "</tbody></table>"
    )


def _old_tables(cards: Sequence[Card], _fillers: Sequence[str]) -> str:
    return '<hr size="1">\n'.join(
        '<table width="600" border="0" cellpadding="3"><tr><td width="200" rowspan="2">'
        f'<img src="/{card.url}" width="200" border="1"></td><td height="20">'
        f'<font color="#003399" size="3"><b>{card.name}</b></font></td></tr><tr>'
        f'<td valign="top"><font size="2">　　{card.description}</font></td></tr></table>'
        for card in cards
    )


def _line_breaks(cards: Sequence[Card], fillers: Sequence[str]) -> str:
    body = "\n".join(
        f'<center><img src="/{card.url}" border="0"><br>'
        f'<font color="#666666">{card.description}</font></center><br>\n'
        f"　　{fillers[number % len(fillers)]}<br><br>"
        for number, card in enumerate(cards)
    )
    return f'<font size="2">　　{fillers[-1]}<br><br>\n{body}</font>'


def _table_rows(cards: Sequence[Card], _fillers: Sequence[str]) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("编号", "名称", "照片", "说明"))
    return (
        f'<table border="1"><thead><tr>{head}</tr></thead><tbody>'
        + "\n".join(
            f"<tr><td>{number}</td><td>{card.name}</td>"
            f'<td><img src="/{card.url}" width="120"></td>'
            f"<td>{card.description}</td></tr>"
            for number, card in enumerate(cards, 1)
        )
        + "</tbody></table>"
    )


def _guide(cards: Sequence[Card], fillers: Sequence[str]) -> str:
    return f"<p>{fillers[0]}</p>" + "\n".join(
        f'<h2>{number}、{card.name}</h2>\n<p><img src="/{card.url}" alt=""></p>\n'
        f"<p>{card.description}</p>"
        for number, card in enumerate(cards, 1)
    )


def _steps(cards: Sequence[Card], _fillers: Sequence[str]) -> str:
    return (
        '<h2>步骤</h2><ol class="steps">'
        + "\n".join(
            f'<li class="container"><p class="text">{card.description}</p>'
            f'<img src="/{card.url}" alt="步骤图"></li>'
            for card in cards
        )
        + "</ol>"
    )


def _news(cards: Sequence[Card], fillers: Sequence[str]) -> str:
    return (
        '<div class="article" id="article">'
        + "\n".join(
            f"<p>　　{fillers[number % len(fillers)]}</p>"
            f'<div class="img_wrapper"><img style="max-width:640px" src="/{card.url}">'
            f'<span class="img_descr">{card.description}</span></div>'
            for number, card in enumerate(cards)
        )
        + "</div>"
    )


STRUCTURES: dict[str, Structure] = {
    "image_on_top": _image_on_top,
    "news": _news,
    "image_left": _image_left,
    "steps": _steps,
    "definition_lists": _definition_lists,
    "guide": _guide,
    "album": _album,
    "table_rows": _table_rows,
    "header_row": _header_row,
    "text_first": _text_first,
    "old_tables": _old_tables,
    "line_breaks": _line_breaks,
}
"""Name to the function that writes the cards of a page in this structure."""
