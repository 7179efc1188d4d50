import errno
import os

import pytest

from wenlan_data.errors import (
    DescriptorError,
    DeviceError,
    DiskError,
    UsageError,
    from_os_error,
    retry_once,
)


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.EIO, DeviceError, 3),
        (errno.EMFILE, DescriptorError, 1),
        (errno.ENFILE, DescriptorError, 1),
        (errno.ENOSPC, DiskError, 3),
        (errno.EDQUOT, DiskError, 3),
        (errno.ENOENT, UsageError, 2),
        (errno.EACCES, UsageError, 2),
    ],
)
def test_the_error_of_a_file_has_its_exit_code_and_names_it(
    number: int, kind: type[Exception], code: int
) -> None:
    error = from_os_error(OSError(number, os.strerror(number), "/builds/w/raw.parquet"), "/out")
    assert type(error) is kind
    assert error.exit_code == code
    assert "/builds/w/raw.parquet" in str(error)
    assert "/out" in str(from_os_error(OSError(number, os.strerror(number)), "/out"))


def test_a_copy_to_a_full_disk_names_the_file_that_was_written() -> None:
    # As `shutil.copyfile` raises it: the source first.
    error = OSError(errno.ENOSPC, "No space left on device", "/builds/w/a.tar", None, "/out/a.tar")
    assert "/out/a.tar" in str(from_os_error(error))
    assert "/work" not in str(from_os_error(error))


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ENOENT])
def test_an_action_is_repeated_once_where_that_may_help(number: int) -> None:
    calls: list[int] = []

    def act(failures: int) -> int:
        calls.append(1)
        if len(calls) <= failures:
            raise OSError(number, os.strerror(number))
        return 7

    if number == errno.ENOENT:
        with pytest.raises(FileNotFoundError):
            retry_once(lambda: act(1))
        assert len(calls) == 1
        return
    assert retry_once(lambda: act(1)) == 7
    calls.clear()
    with pytest.raises(OSError, match=os.strerror(number)):
        retry_once(lambda: act(2))
    assert len(calls) == 2
