"""What Prometheus reads: true figures, few series, nothing that is a user's."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from notifier.api import metrics as api_metrics
from notifier.pipeline import auditor
from tests.api.conftest import connect, new_project, running, settings_for
from tests.api.test_outages import beat
from tests.processes import own_valkey, until

Samples = dict[str, dict[tuple[str, ...], float]]


async def scrape(client: httpx.AsyncClient) -> Samples:
    """Return the samples by name and the values of their labels."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found: Samples = {}
    families = list(text_string_to_metric_families(answer.text))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every scrape read anew."""
    monkeypatch.setattr(api_metrics, "FRESH_SECONDS", -1)
    monkeypatch.setattr(api_metrics, "AUDIT_FRESH_SECONDS", -1)


async def test_the_figures_tell_how_the_service_stands(database_url: str, redis_url: str) -> None:
    async with running(settings_for(database_url, redis_url)) as app:
        database = app.state.runtime.database
        await beat(database)
        project = await new_project(database)
        async with connect(app, await project.new_key("write")) as client:
            made = await client.post("/v1/notifications", json={"title": "hush-hush", "schedule": "daily"})
            await client.post(made.headers["location"] + "/send")
            async with database.transaction() as session:
                await session.execute(text("UPDATE notifications SET next_due_at = now() - interval '500 s'"))
        async with connect(app) as anybody:
            found = await scrape(anybody)
            page = (await anybody.get("/metrics")).text
    for name, value in (("database_up", 1), ("redis_up", 1), ("workers", 1), ("redis_fit", 1)):
        assert found[f"notifier_{name}"] == {(): value}, name
    for name, value in (("deliveries_due", 1), ("queue_length", 1), ("deliveries_sending", 0)):
        assert found[f"notifier_{name}"] == {(): value}, name
    assert 0 <= found["notifier_seconds_since_sweep"][()] < 60
    assert 500 <= found["notifier_oldest_due_seconds"][()] < 560
    assert found["notifier_audit"] == {
        (figure,): int(figure == "overdue_notifications") for figure in auditor.ADVICE
    }
    for private in ("hush-hush", str(project.id), "api_key"):
        assert private not in page


async def test_requests_are_counted_by_the_routes_template(client: httpx.AsyncClient) -> None:
    name = "notifier_http_request_duration_seconds_count"
    missing = "01a20322-0000-7000-8000-000000000000"
    before = (await scrape(client)).get(name, {})
    for path in (missing, missing.replace("a", "b")):
        await client.get(f"/v1/notifications/{path}")
    for path in ("/nowhere", "/nowhere/else"):
        await client.get(path)
    await client.request("BREW", "/v1/notifications")
    after = (await scrape(client))[name]
    grown = {key: value - before.get(key, 0) for key, value in after.items() if value != before.get(key)}
    assert grown.pop(("GET", "/metrics", "2xx")) >= 1
    assert grown[("GET", "/v1/notifications/{notification_id}", "4xx")] == 2
    assert grown[("GET", "none", "4xx")] == 2
    assert sum(value for (method, *_), value in grown.items() if method == "other") == 1
    assert not re.search(missing, str(after))


async def test_without_its_servers_the_figures_of_the_process_are_shown(redis_url: str) -> None:
    dead = settings_for("postgresql://notifier@127.0.0.1:1/notifier", "redis://127.0.0.1:1/0")
    async with running(dead) as app, connect(app) as client:
        found = await scrape(client)
    assert found["notifier_database_up"] == found["notifier_redis_up"] == {(): 0}
    assert "notifier_workers" not in found
    assert "notifier_queue_length" not in found
    assert "notifier_audit" not in found


async def test_a_frozen_redis_does_not_hold_the_figures_up(database_url: str, tmp_path: Path) -> None:
    with own_valkey(tmp_path / "valkey") as valkey:
        async with running(settings_for(database_url, valkey.url)) as app, connect(app) as client:
            valkey.freeze()
            async with asyncio.timeout(10):
                found = await scrape(client)
            assert found["notifier_redis_up"] == {(): 0}
            assert found["notifier_database_up"] == {(): 1}
            valkey.thaw()

            async def is_up() -> bool:
                return (await scrape(client))["notifier_redis_up"] == {(): 1}

            await until(is_up)


async def test_however_many_ask_the_servers_are_asked_once(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_metrics, "FRESH_SECONDS", 600)
    async with running(settings_for(database_url, redis_url)) as app, connect(app) as client:
        first = await asyncio.gather(*(scrape(client) for _ in range(5)))
        await beat(app.state.runtime.database)
        later = await scrape(client)
    assert [one["notifier_workers"] for one in [*first, later]] == [{(): 0}] * 6


def test_only_a_process_that_sweeps_shows_figures_of_sweeps() -> None:
    script = (
        "from notifier.observability import metrics; print('notifier_sweep' in metrics.render().decode());"
        "metrics.swept(3, 0.1); metrics.swept(2, 0.1); print(metrics.render().decode())"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.startswith("False\n")
    assert "notifier_sweep_duration_seconds_count 2.0" in said
    assert "notifier_notifications_planned_total 5.0" in said
