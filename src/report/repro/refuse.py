def refuse(stream, port, first):
    """How databases refuse credentials in their own protocols: MySQL, PostgreSQL, Redis."""
    if port == 3306:
        payload = b"\xff\x15\x04#28000Access denied (using password: YES)"
        stream.sendall(len(payload).to_bytes(3, "little") + b"\0" + payload)
    elif first[:1] == b"*" or first[:4] in (b"AUTH", b"PING"):
        while stream.recv(4096):
            stream.sendall(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
    elif first[4:8] in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30", b"\0\3\0\0"):
        with stream.makefile("rb") as told:
            while (start := told.read(int.from_bytes(told.read(4), "big") - 4))[:4] != b"\0\3\0\0":
                stream.sendall(b"N")  # neither TLS nor GSSAPI
        words = start[4:].split(b"\0")
        user = words[words.index(b"user") + 1]
        text = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "' + user + b'"\0\0'
        stream.sendall(b"E" + (len(text) + 4).to_bytes(4, "big") + text)
    stream.shutdown(socket.SHUT_WR)
    while stream.recv(4096):
        pass  # if it were closed at once, the client might miss the message
