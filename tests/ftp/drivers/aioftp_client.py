"""What a check tells aioftp to do: HOST PORT USER PASSWORD MODE VERB ARGUMENT..."""

import asyncio
import os
import sys

import aioftp

host, port, user, password, mode, verb, *arguments = sys.argv[1:]


def name(argument):
    """As bytes go over the wire."""
    return os.fsencode(argument).decode("latin-1")


async def get(client, remote, local, offset=0):
    with open(local, "ab" if offset else "wb") as file:
        async with client.download_stream(name(remote), offset=offset) as stream:
            async for block in stream.iter_by_block():
                file.write(block)


async def send(stream, local, offset):
    with open(local, "rb") as file:
        file.seek(offset)
        while block := file.read(65536):
            await stream.write(block)


async def put(client, local, remote, offset=0):
    async with client.upload_stream(name(remote), offset=offset) as stream:
        await send(stream, local, offset)


async def append(client, local, remote):
    async with client.append_stream(name(remote)) as stream:
        await send(stream, local, 0)


async def abort(client, big, small, local):
    stream = await client.download_stream(name(big))
    await stream.read(1000)
    await client.abort()
    stream.close()
    await get(client, small, local)


async def listed(client, folder, command):
    for path, facts in await client.list(name(folder), raw_command=command):
        print(path.name, facts.get("size", "-"))


async def change(client, folder):
    await client.change_directory(name(folder))
    print(await client.get_current_directory())


async def put_tree(client, local, remote):
    """It makes folders beneath the current one only."""
    folder, last = os.path.split(remote)
    await client.change_directory(name(folder))
    await client.upload(local, name(last), write_into=True)


async def login(client):
    print(await client.get_current_directory())


VERBS = {
    "login": login, "cd": change, "get": get, "put": put, "append": append, "abort": abort,
    "list": lambda client, folder: listed(client, folder, "LIST"),
    "mlsd": lambda client, folder: listed(client, folder, "MLSD"),
    "get-from": lambda client, offset, remote, local: get(client, remote, local, int(offset)),
    "put-from": lambda client, offset, local, remote: put(client, local, remote, int(offset)),
    "rename": lambda client, one, other: client.rename(name(one), name(other)),
    "delete": lambda client, path: client.remove_file(name(path)),
    "mkdir": lambda client, path: client.make_directory(name(path), parents=False),
    "rmdir": lambda client, path: client.remove_directory(name(path)),
    "put-tree": put_tree,
    "get-tree": lambda client, remote, local: client.download(name(remote), local, write_into=True),
}


async def main():
    async with aioftp.Client.context(host, int(port), user, password, encoding="latin-1", socket_timeout=30) as client:
        await VERBS[verb](client, *arguments)


sys.stdout.reconfigure(encoding="latin-1")
asyncio.run(main())
