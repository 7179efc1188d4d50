"""Rejects file names, such as IMG_2034.JPG."""

import re
from dataclasses import dataclass

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

MAX_CHARACTERS = 255
"""The longest file name of common file systems."""

# 猫.jpg, photos/a b.png, 1.jpg!w600.
_EXTENSION = re.compile(
    r"[^，。！？；：、“”《》\n]*[^\s，。！？；：、“”《》.][ ]?\."
    r"(?:jpe?g|jpe|jfif|png|gif|bmp|webp|avif|hei[cf]|tiff?|svg|ico|psd|ai|eps|raw|cr[23]|nef|arw|dng|raf|orf|rw2|pef|srw|mp[34]|m4[av]|mov|avi|mkv|flv|wmv|webm|wav|pdf|docx?|pptx?|xlsx?|txt|zip|rar|7z|php|html?|aspx?|jsp|exe|apk)"
    r"(?:[?!@_][\w=&%.,/!@-]*)?",
    re.IGNORECASE,
)
# The number or date of a device's file name; one digit at least.
_STAMP = r"(?=\D{0,4}\d)[\d\s_.:()（）上下午-]+"
# IMG_2034, 微信图片_20230501123000, Screenshot 2023-05-01.
_DEVICE = re.compile(
    r"(?:IMG|DSC[NF]?|DCIM|PXL|VID|MVIMG|PANO|P|mmexport|wx_camera|Screenshot|Screen[ _]?Shot|WechatIMG|image|photo"
    rf"|pic|微信图片|微信截图|QQ图片|QQ截图|屏幕截图|屏幕快照|截屏|截图|未命名|无标题|新建位图图像|捕获){_STAMP}",
    re.IGNORECASE,
)
# 16 and more hexadecimal digits, or a UUID; with a letter and a digit.
_HASH = re.compile(
    r"(?=[^a-z]*[a-z])(?=[^0-9]*[0-9])(?:[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
)
_HAN = re.compile("[\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class FileName:
    """Rejects a hash, and a name or path with the extension of an image, film or document.

    Names that cameras, phones and editors give count without an extension too.
    """

    def __call__(self, text: str) -> str | Drop:
        """Returns the text unchanged, or `file_name`."""
        if len(text) > MAX_CHARACTERS:
            return text
        if "." in text and _EXTENSION.fullmatch(text) and not _is_sentence(text):
            return Drop(Reason.FILE_NAME)
        if text[-1:].isascii() and (_DEVICE.fullmatch(text) or _HASH.fullmatch(text)):
            return Drop(Reason.FILE_NAME)
        return text


def _is_sentence(text: str) -> bool:
    """Whether a text is a sentence that ends with a file name, such as 在终端里打开配置文件config.txt."""
    name = re.split(r"[/\\]", text)[-1].rpartition(".")[0]
    tail = re.search(r"[\w-]*\Z", name, re.ASCII)
    return len(_HAN.findall(name)) > 6 and bool(tail and tail[0])
