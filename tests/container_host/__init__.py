import pytest

for name in ("shops", "worlds"):
    pytest.register_assert_rewrite(f"{__name__}.{name}")
