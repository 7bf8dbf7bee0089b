"""The first line of an SMTP server. Tells systemd when it listens."""
import os
import socket

listener = socket.create_server(("127.0.0.1", 25))
if address := os.environ.get("NOTIFY_SOCKET"):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect(address.replace("@", "\0", 1))
        notify.send(b"READY=1")
while True:
    client, _ = listener.accept()
    with client:
        client.sendall(f"220 {os.environ['NAME']} ESMTP\r\n421 not today\r\n".encode())
