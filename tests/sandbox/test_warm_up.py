"""The sandbox's forks can open no file, so pages must need none after the warm-up."""

import os
import subprocess
import sys
from pathlib import Path

LAYOUTS = Path(__file__).parents[3] / "shared" / "data" / "layouts"
# A page with what needs a list of its own: emoticons, traditional characters, domains, JSON.
PAGE = """<html lang=zh-TW><title>園區裡的小船_某某網</title>
<script type="application/ld+json">{"@type": "ImageObject", "contentUrl": "/9.jpg", "caption": "石橋"}</script>
<script>window.__INITIAL_STATE__ = {"images": [{"url": "/8.jpg", "title": "遠山"}]}</script>
<nav><a href=http://b.com.cn/>首頁</a></nav>
<ul><li><img src=1.jpg><p>湖邊的小船[哈哈] @某人</p><p>2019-05-03 21:08</p>
<li><img src=2.jpg><p>山上的白塔[微笑R]，攝影：李明</p><p>（新華社發）</p>
<li><img src=3.jpg alt="点击查看大图"><p>桥头的灯笼 #古镇#</p></ul>
<figure><img src=4.jpg><figcaption>▲ 图4：老街（来源：网络）</figcaption></figure>
<div class=comments><p>沙发 <img src=5.jpg alt="[doge]"></div>"""
PROGRAM = """
import json, sys
from pathlib import Path
from wenlan_data.sandbox import page_codec
from wenlan_data.sandbox.warm_up import warm_up_pages

warm_up_pages()
pages = [path.read_bytes() for path in map(Path, sys.argv[1:])]
options = json.dumps({
    "content_type": "", "url": "http://a.cn/x/", "source": "", "signals": [], "page_origin": None,
    "max_links": 9, "fallback_url": "",
}).encode()
opened = []
sys.addaudithook(lambda event, some: opened.append(some[0]) if event == "open" else None)
for page in pages:
    page_codec.extract_pairs(options, page)
    page_codec.extract_explanation(options, page)
    page_codec.extract_links(options, page)
print(*map(str, opened), sep="\\n", end="")
"""


def test_no_file_is_opened_after_the_warm_up(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(PAGE, "utf-8")
    pages = [page, *sorted(LAYOUTS.glob("*/**/*.html"))]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(os.fspath, pages)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
