"""No log and no count of the service names anybody, whatever is asked: neither ids nor addresses, tokens or secrets."""

import logging
from pathlib import Path

import pytest
from engage_service import serving
from test_app_receipts import KEY, said
from test_app_receipts import post as post_receipts
from test_document import ACCESS
from test_inbox_api import mark, person, row, show
from test_sendgrid import event as mail_event
from test_sendgrid import post as post_sendgrid
from test_sns import BOUNCE, notification
from test_sns import post as post_sns
from test_standard_webhooks import SECRET, receipt
from test_standard_webhooks import post as post_standard
from test_user_tokens import token
from webhook_cases import ANN, known, reference


def test_logs_and_counts_name_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "services")
    somebody = "somebody-in-particular"
    with serving(tmp_path, access=ACCESS) as service:
        known(service)
        service.store.write_users([person(somebody)])
        service.store.write_inbox([row(somebody, "a1")])
        assert show(service, somebody).status_code == 200
        assert mark(service, "a1/read", somebody).status_code == 200
        assert mark(service, "a2/read", somebody).status_code == 404
        assert service.ask("GET", "/v1/inbox", headers={"authorization": "Bearer x"}).status_code == 401
        post_receipts(service, said(user=somebody), said(reference=reference(somebody, "s1")), {"kind": ANN})
        post_sendgrid(service, [mail_event("bounce"), mail_event("bounce", timestamp=ANN), {"event": ANN}, ANN])
        post_sns(service, notification())
        post_sns(service, notification({**BOUNCE, "bounce": ANN}))
        post_sns(service, notification() | {"TopicArn": ANN})
        post_standard(
            service, {"receipts": [receipt(userId=somebody, kind=ANN), receipt(channel=ANN), receipt(time=ANN)]}
        )
        service.ask("POST", f"/v1/webhooks/twilio/status?{ANN}", content=ANN)
        written = caplog.text + service.ask("GET", "/metrics").text
    assert "cannot be read" in written
    for secret in (somebody, ANN, ANN.replace("@", "%40"), KEY, SECRET, token()[:20], reference(somebody, "s1")[:20]):
        assert secret not in written
