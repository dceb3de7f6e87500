// What a check tells basic-ftp to do: HOST PORT USER PASSWORD MODE VERB ARGUMENT...
const { Client } = require("basic-ftp")
const fs = require("fs")

const [host, port, user, password, , verb, ...args] = process.argv.slice(2)

const VERBS = {
    login: async client => console.log(await client.pwd()),
    cd: async (client, folder) => {
        await client.cd(folder)
        console.log(await client.pwd())
    },
    list: async (client, folder) => {
        client.availableListCommands = ["LIST"]
        for (const entry of await client.list(folder)) console.log(entry.name, entry.size)
    },
    mlsd: async (client, folder) => {
        client.availableListCommands = ["MLSD"]
        for (const entry of await client.list(folder)) console.log(entry.name, entry.size)
    },
    get: (client, remote, local) => client.downloadTo(local, remote),
    put: (client, local, remote) => client.uploadFrom(local, remote),
    "get-from": (client, offset, remote, local) =>
        client.downloadTo(fs.createWriteStream(local, { flags: "a" }), remote, Number(offset)),
    append: (client, local, remote) => client.appendFrom(local, remote),
    rename: (client, one, other) => client.rename(one, other),
    delete: (client, path) => client.remove(path),
    mkdir: (client, path) => client.send("MKD " + path),
    rmdir: (client, path) => client.send("RMD " + path),
    "put-tree": (client, local, remote) => client.uploadFromDir(local, remote),
    "get-tree": (client, remote, local) => client.downloadToDir(local, remote),
}

async function main() {
    const client = new Client(30000)
    try {
        await client.access({ host, port: Number(port), user, password })
        await VERBS[verb](client, ...args)
    } finally {
        client.close()
    }
}

main().catch(error => {
    console.error(error)
    process.exit(1)
})
