"""How many examples Hypothesis tries where the profile's number is not the right one."""

from hypothesis import settings


def examples(full: int) -> settings:
    """Settings of a test that tries ``full`` examples in the gate, and a tenth of them otherwise::

    @examples(300)
    @given(st.text())
    def test_lengths(text): ...
    """
    return settings(max_examples=max(2, full * settings().max_examples // 100))
