"""The plugin for pytest: the fixture `devcloud`, and the marker that says whose host it is."""

import pytest

from ._cloud import start


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        "devcloud(host='all', source=None): whose host the fixture devcloud makes it, as `devcloud run --as HOST --source SOURCE`",
    )


@pytest.fixture(scope="session")
def devcloud_server():
    """The cloud that the tests of this process share."""
    with start() as cloud:
        yield cloud


@pytest.fixture
def devcloud(request, devcloud_server, monkeypatch):
    """A cloud on loopback, whose environment this test has, in a tenant of its own."""
    marker = request.node.get_closest_marker("devcloud")
    host, source = _host(*(marker.args if marker else ()), **(marker.kwargs if marker else {}))
    # Managed identities are the machine's: their requests show no tenant.
    if host == "managed-identity":
        with start() as cloud:
            yield _entered(cloud.seen_by(host, source), monkeypatch)
    else:
        yield _entered(devcloud_server.for_test(host, source), monkeypatch)


def _host(host="all", source=None):
    return host, source


def _entered(cloud, monkeypatch):
    for name in cloud.unset:
        monkeypatch.delenv(name, raising=False)
    for name, value in cloud.env.items():
        monkeypatch.setenv(name, value)
    return cloud
