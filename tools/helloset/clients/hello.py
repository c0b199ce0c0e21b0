"""Starts a TLS handshake with 127.0.0.1:PORT: hello.py PORT NAME [ALPN...]"""

import socket
import ssl
import sys

port, name, alpn = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
context = ssl.create_default_context()
if alpn:
    context.set_alpn_protocols(alpn)
with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
    try:
        context.wrap_socket(sock, server_hostname=name)
    except OSError:
        pass  # the recorder closes
