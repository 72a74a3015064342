"""A notification made over HTTP becomes due and is really sent, once, by the service's real processes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from standardwebhooks import Webhook

from tests.processes import API_KEY, Roles, until
from tests.receivers import HttpReceiver, SmtpReceiver, http_receiver, smtp_receiver
from tests.servers import free_port


class Api:
    """A client of the API process."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str) -> Any:
        """Return the answer's JSON."""
        return (await self.client.get(path)).raise_for_status().json()

    async def post(self, path: str, body: Any) -> Any:
        """Return the answer's JSON."""
        return (await self.client.post(path, json=body)).raise_for_status().json()

    async def is_ready(self) -> bool:
        """Say whether the API answers and reaches its servers."""
        try:
            return (await self.client.get("/readyz")).status_code in (200, 503)
        except httpx.HTTPError:
            return False

    async def deliveries(self, notification_id: str) -> list[Any]:
        """Return the ledger of a notification with all attempts."""
        found = await self.get(f"/v1/deliveries?notification_id={notification_id}")
        return [await self.get(f"/v1/deliveries/{one['id']}") for one in found["items"]]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def check_webhook(receiver: HttpReceiver, secret: str, created: Any) -> str:
    """Check the one request as a receiver would; return its message id."""
    (request,) = receiver.requests
    message = Webhook(secret).verify(request.body, request.headers)
    assert (message["type"], message["data"]["title"]) == ("notification.due", "Water the plants")
    assert message["data"]["notification_id"] == created["id"]
    assert message["data"]["attempt"] == 1
    return request.headers["webhook-id"]


def check_mail(receiver: SmtpReceiver) -> str:
    """Check the one mail; return its message id."""
    (mail,) = receiver.mails
    assert mail.recipients == ["ada@example.com"]
    assert mail.message["Subject"] == "Water the plants"
    return str(mail.message["Message-ID"])


async def test_a_due_notification_arrives_by_webhook_and_mail_exactly_once(roles: Roles) -> None:
    port = free_port()
    roles.start("api", PORT=port)
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with (
        http_receiver() as hook,
        smtp_receiver() as smtp,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client,
    ):
        api = Api(client)
        await until(api.is_ready, 30)
        created = await api.post(
            "/v1/notifications",
            {
                "title": "Water the plants",
                "schedule": "daily",
                "start_at": datetime.now(UTC).isoformat(),
                "to": [f"{hook.url}/hook", "mailto:ada@example.com"],
            },
        )
        (secret,) = [one["secret"] for one in created["destinations"] if one["kind"] == "webhook"]
        roles.start("worker", SMTP_HOST=smtp.host, SMTP_PORT=smtp.port, SMTP_TLS="none")
        roles.start("scheduler")

        async def all_delivered() -> bool:
            ledger = await api.deliveries(created["id"])
            return [one["status"] for one in ledger] == ["delivered"] * 2

        await until(all_delivered, 30)
        message_ids = [check_webhook(hook, secret, created), check_mail(smtp)]
        ledger = await api.deliveries(created["id"])
        for delivery in ledger:
            assert [one["outcome"] for one in delivery["attempts"]] == ["delivered"]
            assert any(delivery["message_id"] in message_id for message_id in message_ids)
        shown = await api.get(f"/v1/notifications/{created['id']}")
        delivered_at = instant(shown["last_delivered_at"])
        assert delivered_at == max(instant(one["finished_at"]) for one in ledger)
        assert instant(shown["next_due_at"]) == delivered_at + timedelta(hours=24)
