"""Bounds the processor time that the images and pages of one host may take, so that a host of slow
ones cannot hold up a build."""

from collections.abc import Mapping

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

FREE_S = 0.5
"""Of each image or page; a usual one takes 2 ms, so that a host of any size with usual ones spends
nothing."""
_KEY = "slow_decoding_s"


class DecodingBudget:
    """Processor time beyond `FREE_S` an image or page, added up for each host.

    Once a host has spent `max_s`, its further images are not decoded and its pages not parsed.
    Processor time differs from run to run, so this is decided once, when the image or page is
    fetched: the results record it, and a build from recordings repeats it.
    """

    def __init__(self, max_s: float, states: Mapping[str, Mapping[str, object]]) -> None:
        self._max_s = max_s
        self._used_s: dict[str, float] = {}
        for host, state in states.items():
            used_s = state.get(_KEY)
            if isinstance(used_s, int | float):
                self._used_s[host] = float(used_s)

    def refuses(self, host: str) -> Drop | None:
        """The drop of a further image or page of `host`; None while its budget lasts."""
        if self._used_s.get(host, 0.0) < self._max_s:
            return None
        return Drop(Reason.DECODING_BUDGET, f"{self._max_s:g} s for {host}"[:200])

    def add(self, host: str, cpu_s: float) -> None:
        """Counts the processor time of one image or page."""
        if cpu_s > FREE_S:
            self._used_s[host] = self._used_s.get(host, 0.0) + cpu_s - FREE_S

    def add_to(self, states: dict[str, dict[str, object]]) -> None:
        """Adds what the hosts have spent to their states, for their next fetch list."""
        for host, state in states.items():
            if host in self._used_s:
                state[_KEY] = round(self._used_s[host], 3)
