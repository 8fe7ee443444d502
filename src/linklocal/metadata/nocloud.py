"""A NoCloud seed of one instance, for cloud-init in a stock image. Off unless the node is told (`nocloud`).

cloud-init fetches a seed by fixed names and can send neither a token nor a header, so whatever runs in the
instance, or makes a program in it fetch a URL, can read the user data here. What holds for the metadata
holds for the seed: the same socket, refused while the service is disabled, the same hop limit.
"""

from __future__ import annotations

from linklocal.document import InstanceDocument
from linklocal.errors import Problem
from linklocal.ids import new_request_id
from linklocal.metadata import gate
from linklocal.metadata.errors import Refusal, refusal, response_to
from linklocal.metadata.served import Served
from linklocal.metadata.views import to_bytes
from linklocal.metadata.wire import Request, Response

PREFIX = "/nocloud/"
# It shows what the initialization does, and is audited as that; the event has the path.
OPERATION = "is.metadata.instance.initialization"
TEXT = "text/plain; charset=utf-8"
# IBM's cloud resolves the name in every instance (metadata contract 1). A boothook, because it merges with
# no key of the user's configuration and runs before it, at every boot.
VENDOR_DATA = b"""#cloud-boothook
#!/bin/sh
grep -qs 'api\\.metadata\\.cloud\\.ibm\\.com' /etc/hosts ||
  echo '169.254.169.254 api.metadata.cloud.ibm.com' >> /etc/hosts
"""


def seed(document: InstanceDocument, name: str) -> bytes | None:
    """One file of the seed; None: there is none of this name.

    `meta-data` is JSON, which is YAML. `user-data` is there also when the instance has none: cloud-init takes
    a seed without it for none. `network-config` is empty: newer releases ask for it, and ask again ten
    times where it is missing.
    """
    if name == "meta-data":
        keys = [key["public_key"] for key in document.metadata["keys"]]
        names = {"instance-id": document.instance_id, "local-hostname": document.name}
        return to_bytes({**names, "public-keys": keys}) + b"\n"
    if name == "user-data":
        text: str = document.metadata["initialization"].get("user_data", "")
        return text.encode("utf-8", "replace")
    if name == "vendor-data":
        return VENDOR_DATA
    return b"" if name == "network-config" else None


def handle(request: Request, served: Served) -> Response:
    """Answer a request whose path begins with `PREFIX`. Never raises for anything a client can send."""
    try:
        gate.check_enabled(served)
        # All that can be asked of a seed's reader: that nobody passes somebody else's request on.
        gate.check_not_forwarded(request)
        name = request.path.removeprefix(PREFIX)
        body = seed(served.document, name) if served.document.kind == "instance" else None
        if body is None:
            message = (
                "The requested resource does not exist. A seed has `meta-data`, `user-data`, "
                "`vendor-data` and `network-config`, of virtual server instances."
            )
            raise refusal(404, "not_found", message, "path")
        if request.method != "GET":
            message = f"`{request.method[:16]}` is not offered here: use GET."
            raise Refusal(405, Problem("invalid_request", message), "method", (("Allow", "GET"),))
        gate.check_parameters(gate.parse_query(request.query), paginated=False)
    except Refusal as refused:
        return response_to(refused, operation=OPERATION)
    return Response(200, body, new_request_id(), OPERATION, type=TEXT)
