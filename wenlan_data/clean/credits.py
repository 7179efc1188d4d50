"""Photo credits: lines such as 图/视觉中国 or 新华社记者 李明 摄, and the author that they name."""

import re

MAX_CHARACTERS = 60
"""A longer text is not a credit."""
MAX_PARTS = 6
"""Of a text of several credits, such as 文：张三 图：李四."""

# Common surnames, and 老 or 阿 with a name: the beginning of 李明摄, not of 雨后摄.
_SURNAME = (
    "(?:欧阳|司马|上官|诸葛|东方|皇甫|尉迟|公孙|慕容|司徒|令狐|夏侯|阿[\u4e00-\u9fff]|[老小大阿]?"
    "[王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林郑谢罗梁宋唐许韩冯邓曹彭曾肖萧田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付傅方白邹孟熊秦邱江尹薛闫阎段雷侯龙史"
    "陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤温常康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦俞左柳甘祝包宁尚符舒阮柯纪梅童凌毕单季裴霍涂成苗谷盛曲翁冉骆蓝路游"
    "辛靳管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤阳时穆农司卓古吉缪简车项连芦麦褚娄窦戚岑景党宫费卜冷晏席卫米柏宗瞿桂全佟应臧闵苟邬边卞姬师和仇栾隋商刁沙荣巫寇桑郎甄丛仲虞敖巩明佘池查麻苑迟"
    "邝赖占楚揭巴封央晓])"
)
_PERSON = (
    rf"(?:{_SURNAME}[\u4e00-\u9fff]{{1,2}}(?![\u4e00-\u9fff])|[\w·]{{2,4}}|\w{{1,8}}(?:[·.]\w{{1,8}}){{1,3}}"
    r"|[A-Z][A-Za-z.]{1,15}(?:\s[A-Z][A-Za-z.]{0,15}){1,2})"
)
_PERSONS = rf"{_PERSON}(?:\s?[\s、，,/／和与&]\s?{_PERSON}){{0,3}}"
# Two or three characters that begin with a surname.
_CHINESE_NAME = rf"{_SURNAME}[\u4e00-\u9fff]{{1,2}}"
_CHINESE_NAMES = rf"{_CHINESE_NAME}(?:[\s、]{{1,2}}{_CHINESE_NAME}){{0,3}}"

_AGENCY = (
    r"(?:新华社|新华网|中新社|中新网|中国新闻网|人民网|人民视觉|人民图片|央视新闻|央视网|央视频?|央广网"
    r"|光明图片|中国日报|CNSPHOTO|视觉中国|VCG|CFP|东方IC|IC ?photo"
    r"|图虫(?:·?创意|网)?|全景(?:网|视觉)|摄图网|千图网|包图网|壹图网|站酷(?:海洛)?|海洛创意|汇图网|昵图网"
    r"|花瓣网?|Getty ?(?:Images)?|盖蒂图片(?:社)?|达志影像|东方影像"
    r"|Unsplash|Pixabay|Pexels|Shutterstock|iStock|Flickr|Wikimedia(?: Commons)?|维基(?:百科|共享资源)"
    r"|百度(?:百科|图片)|微博|小红书|豆瓣|官微|官网"
    r"|路透社?|Reuters|法新社?|AFP|美联社?|AP|欧新社?|EPA|韩联社|共同社|塔斯社|俄新社|卫星社|中央社|中评社"
    r"|港中社|联合报系?|外媒|本报|本刊|本网|本社|本台|本站"
    r"|网络|互联网|网路|网友|NASA|ESA)"
)
_MEDIUM = (
    rf"(?:{_AGENCY}|[\w·《》]{{1,12}}(?:社|网|报|刊|台|新闻|在线|视频|客户端|传媒|中心|周刊|杂志))"
)
_SUBJECT = (
    "(?:图片|照片|影像|图像|画面|图文|文图|视频|资料|数据|素材|本文|文章|内容|新闻|信息|消息|配图|题图"
    "|封面图?|头图)"
)
_LABEL = (
    rf"(?:{_SUBJECT}?(?:来源|来自|出处|供图|摄影师?|拍摄|提供|版权|(?:来源|提供)[与和及、]版权)|供稿|图源|图据|文[/／、&]图"
    rf"|图[/／、&]文|图片?|照片|文|摄|摄影[/／、&]撰文|图文"
    r"|绘图|制图|漫画|插画|编绘|手绘)"
)
_STAFF = (
    "(?:责任编辑|责编|(?:值班|本期)?编辑|校对|排版|主编|副主编|总编|初审|复审|终审|签发|文案|剪辑|出品|审核"
    "|作者|撰文|文字"
    "|编审|监制|记者|通讯员|美编|制作|统筹|策划)"
)
_WRITER = "(?:合著者|作者|贡献者|编辑者|创建者|撰稿人|整理者|译者|编者)"
_TO = r"\s?[:：/／|｜丨│]\s?"
_REPORTER = (
    r"(?:(?:特约|实习|见习|摄影|全媒体|融媒体|首席|驻\w{2,6})?(?:记者|通讯员|特派员|摄影师|摄影))"
)
# 拍摄, 航摄 and the like are no credits.
_NOT_FILM = "(?<![拍航自俯仰偷翻])"
_TOOK = rf"[/／]?\s?(?:{_NOT_FILM}摄影?(?:报道)?|供图|报道|文[/／]?图|图文|图[/／]文|图片?|[/／]摄|编制|制图|绘)"
# Words before 记者 that are part of a sentence: 采访现场的记者.
_NO_OUTLET = "[的了和与名位个对向给]|在(?!线)"
_DATE = r"[\d年月日.·/-]{4,16}"


def _form(hint: str, *forms: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    return re.compile(hint), re.compile("|".join(forms), re.IGNORECASE)


# Forms of credits, each behind a cheap first test: what every match of it has.
_FORMS = (
    # 图片来源：视觉中国, 图/视觉中国; 图：李明 names a person or an agency, 图：雪后的长城 does not
    _form(
        # the first character of a label, then the separator
        r"\A[图文照影画视资素本内新信消配题封头来出供摄拍提版绘制漫插编手责值校排主副总初复终签剪审作撰记通美统策监][^:：/／|｜丨│]{0,6}[:：/／|｜丨│]",
        rf"(?!(?:图片?|照片|文)\s?[:：]){_LABEL}{_TO}[^的了]{{1,30}}",
        rf"[图文]\s?[:：]\s?{_CHINESE_NAMES}",
        rf"(?:图片?|照片|文)\s?[:：]\s?(?:{_AGENCY}.{{0,8}}|{_MEDIUM}|@.{{1,16}}"
        rf"|受访者.{{0,4}}|.{{1,12}}(?:摄|供图|提供|公司))",
        rf"{_STAFF}{_TO}.{{1,24}}",
        rf"(?:文[/／]图|图[/／]文) ?{_PERSONS}",
    ),
    # 图像来源，Reuters, as BBC 中文 writes
    _form(r"来源[，,]", r"图[像片]来源[，,]\s?[^，,。]{1,30}"),
    # 条目作者 钟声; 作者在书房里 is a caption
    _form(
        r"[作合贡献编创撰整译理建]\S?[者人][:：\s]",
        rf"(?:词条|条目|本文|文章|原创)?{_WRITER}{_TO}{_PERSON}",
        rf"(?:词条|条目|本文|文章|原创){_WRITER}\s{_PERSON}",
    ),
    # 王飞/图
    _form(r"[/／]\s?[图文]\Z", rf"{_PERSON}\s?[/／]\s?[图文]"),
    # 图源网络, 图片来自网络, 照片由受访者提供, 转自@新华社
    _form(
        "[源据自由]",
        rf"图[源据][自于]?(?:\s?@?{_MEDIUM}.{{0,4}}|\s.{{1,16}}|@.{{1,16}}|受访者|.{{1,10}}(?:供图|提供))",
        rf"(?:配图|图片?|照片|图文)?(?:均?来自|来源于?|源于?|取自|出自|翻?[拍摄]自|截?自)于?《?{_AGENCY}》?",
        r"(?:图片?|照片|视频|资料)均?由.{1,20}(?:提供(?:图片|照片)?|供图|拍摄|所?摄)|由.{1,20}(?:供图|所?摄"
        r"|提供(?:图片|照片))",
        r"(?:转载自\s?[:：@]?|(?:转自|分享自|摘自)\s?[:：@《])\s?\w{1,16}》?",
        r"(?:以上|[此该本])?(?:图片|照片|图文|文图)(?:均?来自|来源于|源自|摘自|取自)\s?[:：@]?[\w·《》]{1,16}",
    ),
    # 新华社记者 李明 摄; 记者在灾区采访 is a caption
    _form(
        "记者|通讯员|特派员|摄影",
        rf"(?:{_MEDIUM}.{{0,6}}?)?{_REPORTER}\s?{_PERSONS}(?:\s{_REPORTER}\s?{_PERSONS})?\s?{_TOOK}(?:于{_DATE})?",
        rf"(?:(?!{_NO_OUTLET})[\w·]){{2,8}}{_REPORTER}\s{_PERSONS}\s?(?:{_NOT_FILM}摄影?(?:报道)?|供图|图)",
        rf"(?:{_MEDIUM}|实习|特约|摄影){_REPORTER}(?:\s{_PERSONS}|{_CHINESE_NAMES})?",
        rf"(?:图文|摄影师?) {_PERSONS}",
        rf"{_PERSON}{_NOT_FILM}摄影报道",
    ),
    # 李明 摄, 老猫/摄, 李明摄; 雨后摄 is no name
    _form(
        r"[摄绘]|制图|\s(?:[图文编]|图文)\Z",
        rf"(?:(?:{_CHINESE_NAMES}|{_PERSON})\s?(?:\s{_NOT_FILM}摄|[/／]\s?摄影?)|{_CHINESE_NAMES}\s(?:摄影"
        rf"|[图文]|图文|[绘编]))(?:于{_DATE})?",
        rf"{_MEDIUM}发\s?[（(]\s?{_PERSONS}\s?{_TOOK}(?:\s?[)）])?",
        rf"[\w·]{{2,4}}{_NOT_FILM}摄[/／].{{0,8}}(?:图片?|社|网|报|视觉|中国|IC)",
        rf"(?:影友|网友|读者|作者|摄友|学生|市民)?\s?(?:{_CHINESE_NAMES}"
        rf"|(?<=[者友民生])\s?\w{{2,4}})\s?{_NOT_FILM}(?:摄影?|摄于{_DATE}|绘制?|制图)",
    ),
    # 李明供图, 江西省博物馆提供
    _form(
        "供图|提供",
        r"[\w·、 ]{2,20}供图|(?:受访者|作者|本人|店家|商家|主办方|官方|警方|[\w·]{2,14}(?:馆|局|院|部|社"
        r"|中心|景区|办|委|团|队|公司|学校|大学|医院|政府))(?:提供|供图)",
    ),
    # 视觉中国, 新华社资料图, 新华社发（李明 摄）
    _form(
        # its first character, which the list of agencies makes faster to test
        r"\A[于《新中人央光视图全摄千包壹站海汇昵花盖达东维百微小豆官路法美欧韩共塔俄卫联外本网互资档历效示电监节直配A-Za-z]",
        rf"于?《?{_AGENCY}》?(?:供图|图片|照片|资料[图片]|截图|配图|提供)?|{_AGENCY}\s?[·/／|]\s?{_AGENCY}",
        rf"{_AGENCY}.{{0,4}}发\s?(?:[（(]\s?)?(?:照片|图片|{_PERSONS}\s?{_TOOK})?(?:\s?[)）])?",
        "(?:图为)?(?:资料|网络|档案|历史|效果|示意|新闻)(?:图片?|照片|配图)|网络配图|网图|图文无关"
        "|新华社资料[图片]片?",
        "(?:视频|网络|电视|监控|节目|直播|新闻|微博)(?:画面)?截图",
    ),
    # © 视觉中国, Photo by Ann
    _form(
        "[©ⓒ]|[PpIiCc][HhMmIiRr][OoAaCcEe]",
        r"[©ⓒ]\s?(?!(?:19|20)\d\d).{1,24}|\b(?:photo(?:graph)?s?|images?|pictures?|credits?)\s?(?:credits?"
        r"|courtesy)?\s?(?:by|of|from|via|[:：/])\s?.{1,40}",
    ),
)
# A text without one of these is no credit. It begins with one character class, to which the search
# can skip; the lookbehinds then state what follows.
_CREDIT_HINT = re.compile(
    r"[摄:：/／|｜丨│©ⓒ图供绘制社网视由照记通特转摘分路法美微小豆官本外花全站海影日百维者人A-Za-z](?:(?<=[:：/／|｜丨│©ⓒ图供绘制社网视由])|(?<=摄)(?<![拍航自俯仰偷翻]摄)|(?<=照)片|(?<=记)者|(?<=[通])讯员|(?<=特)派"
    r"|(?<=转)[载自]|(?<=摘)自|(?<=分)享自|(?<=路)透|(?<=法)新|(?<=美)联|(?<=微)博|(?<=小)红书|(?<=豆)瓣"
    r"|(?<=官)微|(?<=本)[报刊台]|(?<=外)媒|(?<=花)瓣|(?<=全)景|(?<=站)酷|(?<=海)洛"
    r"|(?<=[作著献辑建理译编]者)(?=[:：\s])|(?<=稿人)(?=[:：\s])|(?<=影)像|(?<=日)报|(?<=百)科|(?<=维)基|(?<=[A-Za-z])[A-Za-z])"
)

_NAMED = re.compile(
    rf"(?<!\S)(?P<label>文[/／、&]图|图[/／、&]文|(?!文[/／]图|图[/／]文)(?:{_LABEL}|{_STAFF})){_TO}"
    rf"(?P<name>.{{1,30}}?)(?=[;；,，]?\s(?:{_LABEL}|{_STAFF}){_TO}|\Z)"
)
# A label whose name is missing: 图源：
_EMPTY_LABEL = re.compile(rf"(?!(?:图片?|照片|文)\s?[:：])(?:{_LABEL}|{_STAFF})\s?[:：]\s*")
_WHOLE_AGENCY = re.compile(_AGENCY, re.IGNORECASE)
# 记者张三 通讯员李四, 中新社发 张三
_BETWEEN_NAMES = re.compile(r"(?<=\s)(?:记者|通讯员)\s?|(?<=[社网报])发(?=\s)")
_BEFORE_NAME = re.compile(
    r"(?:文[/／]图|图[/／]文|图文)\s?|图[像片]来源[，,]\s?|摄影师?\s|图[源据]自?\s?|[©ⓒ]\s?"
    r"|(?:以上|[此该本])?(?:配图|图片?|照片|图文|视频|资料)?(?:均?来自于?|来源于?|源于?|取自|出自"
    r"|翻?[拍摄]自|均?由|转载?自|分享自|摘自)[\s@:：《]*"
    r"|(?:特约|实习)?(?:记者|通讯员|摄影师)\s?|\b(?:photo(?:graph)?s?|images?|pictures?"
    r"|credits?)\s?(?:credits?|courtesy)?\s?(?:by|of|from|via|[:：/])\s?",
    re.IGNORECASE,
)
_AFTER_NAME = re.compile(
    rf"\s?(?:摄影报道|摄影|所?摄|[/／]\s?摄影?|摄[/／].{{1,10}}|摄?于{_DATE}|提供(?:图片|照片)?|供图|拍摄"
    rf"|报道|文[/／]?图|图文|图片?|照片|截图|资料[图片]片?|发|绘制?|制图|编制|》)\Z"
)
# A credit that names no author of the image: 图片来自网络, 责任编辑：李明, 受访者供图.
_NO_AUTHOR = re.compile(
    r"(?:网络|互联网|网路|网图|资料|本文|本网|本站|档案|历史|效果|示意|新闻|配图|图文无关|官方|官网|网友|外媒).{0,4}"
    r"|(?:视频|电视|监控|节目|直播)(?:画面)?(?:截图)?"
    r"|(?:责任编辑|责编|编辑|校对|审核|撰文|编审|监制|美编|制作|统筹|策划).*|.*(?:受访者|资料图片?|网络)"
    r"|(?:作者|本人|店家|商家|主办方|警方)"
    rf"|(?:词条|条目|本文|文章|原创)?{_WRITER}[:：\s].*"
)
_IMAGE_LABEL = re.compile("[图摄源供版绘漫插来出]")
_BRACKETS = re.compile(r"[（(【\[]\s?([^（）()【】\[\]]*?)\s?[)）】\]]\s?\Z")
_SENTENCE = re.compile("[。！？].")
_EDGES = " 。.,，;；:：、—–-|｜/／▲△▼▽↑↓●■◆*"


def is_credit(text: str) -> bool:
    """Whether the text is a credit and nothing else."""
    if len(text) > MAX_CHARACTERS or not _CREDIT_HINT.search(text):
        return False
    bare = _without_brackets(text)
    # 长颈鹿在窗台上觅食。本网记者 李明摄: a sentence comes before the credit.
    if _SENTENCE.search(bare):
        return False
    if _is_one_credit(bare) or _EMPTY_LABEL.fullmatch(text):
        return True
    parts = bare.split() if " " in bare else []
    return 1 < len(parts) <= MAX_PARTS and all(map(_is_one_credit, parts))


def _is_one_credit(text: str) -> bool:
    if not _CREDIT_HINT.search(text):
        return False
    # A loop of its own: any() with a generator takes twice as long.
    for hint, form in _FORMS:  # noqa: SIM110 - see above
        if hint.search(text) and form.fullmatch(text):
            return True
    return False


def author_of(credit: str) -> str:
    """Returns the person or agency that a credit names; empty if it names nobody, or is no
    credit."""
    if not is_credit(credit):
        return ""
    text = _without_brackets(credit)
    if _EMPTY_LABEL.fullmatch(credit):
        return ""
    named = list(_NAMED.finditer(text))
    if named:
        # 文：张三 图：李四: the label of the image counts.
        best = next((one for one in named if _IMAGE_LABEL.search(one["label"])), named[0])
        text = "" if _NO_AUTHOR.fullmatch(best["label"]) else best["name"]
    if _NO_AUTHOR.fullmatch(text):
        return ""
    if _WHOLE_AGENCY.fullmatch(text):
        return text
    match = _BEFORE_NAME.match(text)
    name = _AFTER_NAME.sub("", text[match.end() :] if match else text)
    # 新华社发（李明 摄）
    inner = _BRACKETS.search(text)
    if inner:
        name = f"{text[: inner.start()].removesuffix('发')} {_AFTER_NAME.sub('', inner[1])}"
    name = " ".join(_BETWEEN_NAMES.sub("", name).strip(_EDGES).lstrip("@").split())
    return "" if _NO_AUTHOR.fullmatch(name) else name


def _without_brackets(text: str) -> str:
    bare = text.strip(_EDGES)
    while bare[:1] in "（(【[" and bare[-1:] in "）)】]" and len(bare) > 1:
        bare = bare[1:-1].strip(_EDGES)
    return bare
