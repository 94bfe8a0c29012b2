"""Other ways to send: firebase-admin's `send_each`, and smtplib with a connection for each mail.

python -m bench.delivery_peers send_each|smtplib URL EVENTS

Each reads the events that `todoke run` gets, and sends the same texts. Neither remembers what it has sent.
"""

import json
import smtplib
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import firebase_admin
import google.oauth2.credentials
import requests
from firebase_admin import credentials, messaging

#: The messages that all send.
DEFINITIONS = Path(__file__).parent / "delivery.yaml"
#: The most that `send_each` takes: https://firebase.google.com/docs/cloud-messaging/send/admin-sdk
BATCH = 500


class _Local(credentials.Base):  # type: ignore[misc]
    """A credential for a server on this machine."""

    def get_credential(self) -> Any:
        """One that is always valid."""
        return google.oauth2.credentials.Credentials("local")  # type: ignore[no-untyped-call]


def calls(events: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each event that triggers a message, with its user's token or mailbox, and name."""
    users: dict[str, dict[str, Any]] = {}
    with events.open("rb") as lines:
        for line in lines:
            call = json.loads(line)
            if call["type"] == "identify":
                device = call.get("context", {}).get("device", {})
                users[call["userId"]] = {**call["traits"], "token": device.get("token")}
            else:
                yield call["properties"], users[call["userId"]]


def send_each(url: str, events: Path) -> None:
    """Send pushes in batches, with as many connections as the real address gets."""
    messaging._MessagingService.FCM_URL = url + "/v1/projects/{0}/messages:send"
    app = firebase_admin.initialize_app(_Local(), {"projectId": "bench"})
    service = messaging._get_messaging_service(app)
    session = service._client.session
    retries = session.get_adapter("https://fcm.googleapis.com").max_retries
    session.mount(url, requests.adapters.HTTPAdapter(pool_connections=100, pool_maxsize=100, max_retries=retries))
    batch: list[messaging.Message] = []

    def flush() -> None:
        if batch:
            messaging.send_each(batch, app=app)
            batch.clear()

    for event, user in calls(events):
        body = f"{user['first_name']}, {event['name']} is in stock again for {event['price']} yen"
        notification = messaging.Notification(f"{event['name']} is back", body)
        batch.append(
            messaging.Message(data={"product": event["product_id"]}, notification=notification, token=user["token"])
        )
        if len(batch) == BATCH:
            flush()
    flush()


def one_by_one(url: str, events: Path) -> None:
    """Send mails, a connection each."""
    host, port = url.removeprefix("smtp://").split(":")
    for event, user in calls(events):
        mail = EmailMessage()
        mail["From"], mail["To"] = "Shop <shop@example.com>", user["email"]
        mail["Subject"] = f"Your order {event['order_id']}"
        mail.set_content(f"{user['first_name']}, thank you for your order of {event['price']} yen.")
        with smtplib.SMTP(host, int(port)) as server:
            server.send_message(mail)


if __name__ == "__main__":
    run = {"send_each": send_each, "smtplib": one_by_one}[sys.argv[1]]
    run(sys.argv[2], Path(sys.argv[3]))
