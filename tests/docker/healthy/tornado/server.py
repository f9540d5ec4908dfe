import asyncio
import os

import tornado.web


class Root(tornado.web.RequestHandler):
    def get(self):
        self.write("ok")


async def main():
    # All addresses, those of IPv6 as well.
    tornado.web.Application([("/", Root)]).listen(int(os.environ["PORT"]))
    await asyncio.Event().wait()


asyncio.run(main())
