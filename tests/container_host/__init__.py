import pytest

pytest.register_assert_rewrite("tests.container_host.shops")
