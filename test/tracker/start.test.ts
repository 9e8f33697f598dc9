/** A tracker that can't start says in one line what to do about it. */
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { keyLine, writeKeyFile } from '../support/link-keys.ts'
import { freePort, startProcess } from '../support/process.ts'
import { startTracker } from '../support/tracker.ts'

const command = new URL('../../cmd/tracker.ts', import.meta.url).pathname
const dir = mkdtempSync(join(tmpdir(), 'mta-tracker-start-'))
after(() => rmSync(dir, { recursive: true, force: true }))
const keys = writeKeyFile(join(dir, 'keys'), keyLine('k1', 'signing'))
const open = writeKeyFile(join(dir, 'open-keys'), keyLine('k1', 'signing'))
chmodSync(open, 0o644)
writeFileSync(join(dir, 'not.mmdb'), 'nothing')

async function start(...args: readonly string[]) {
  const running = await startProcess('node', [command, ...args], { cwd: dir, env: { LINK_KEYS_FILE: undefined } })
  const { code } = await running.exited
  return { code, said: running.output.stdout + running.output.stderr }
}

const refused: readonly (readonly [why: string, args: readonly string[], code: number, said: RegExp])[] = [
  ['no keys', [], 2, /--link-keys FILE is required/],
  ['keys that are not there', ['--link-keys', 'absent'], 2, /absent: not there/],
  ['keys that everybody may read', ['--link-keys', open], 2, /chmod 640/],
  ['a bad network', ['--link-keys', keys, '--trusted-proxies', '10.0.0.0/99'], 2, /10\.0\.0\.0\/99/],
  ['a name for a proxy', ['--link-keys', keys, '--trusted-proxies', 'localhost'], 2, /expected a network/],
  ['hosts without allow', ['--link-keys', keys, '--legacy-hosts', 'a.example'], 2, /--legacy-links allow/],
  ['a URL for a host', ['--link-keys', keys, '--legacy-hosts', 'https://a.example/'], 2, /expected a host name/],
  ['a bad database', ['--link-keys', keys, '--geoip-db', 'not.mmdb'], 1, /not\.mmdb can't be used/],
  ['a bad list of relays', ['--link-keys', keys, '--apple-relays', 'not.mmdb'], 1, /not\.mmdb can't be used/],
  ['an unknown option', ['--link-keys', keys, '--trusted-proxy', '::1'], 2, /trusted-proxies/],
]

for (const [why, args, code, said] of refused) {
  test(`is refused: ${why}`, async () => {
    const end = await start('--in-hostport', `127.0.0.1:${await freePort()}`, ...args)
    assert.equal(end.code, code, end.said)
    assert.match(end.said, said)
    assert.equal(end.said.trim().split('\n').length, 1, end.said)
  })
}

test('is refused: a port in use', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  try {
    const end = await start('--in-hostport', `127.0.0.1:${port}`, '--link-keys', keys)
    assert.equal(end.code, 1)
    assert.match(end.said, new RegExp(`127\\.0\\.0\\.1:${port} is in use`))
  } finally {
    server.close()
  }
})

test('is refused: a spill folder that another tracker has', async () => {
  const tracker = await startTracker({ redisUrl: `redis://127.0.0.1:${await freePort()}` })
  try {
    const end = await start(
      ...['--in-hostport', `127.0.0.1:${await freePort()}`, '--link-keys', keys],
      ...['--spill-dir', join(tracker.dir, 'spill')],
    )
    assert.equal(end.code, 1)
    assert.match(end.said, /spill/)
  } finally {
    await tracker.stop()
  }
})

test('--check, --help and --version', async () => {
  assert.deepEqual(await start('--check', '--link-keys', keys), {
    code: 0,
    said: 'tracker: the configuration is good\n',
  })
  assert.equal((await start('--check', '--link-keys', 'absent')).code, 1)
  const help = await start('--help')
  assert.equal(help.code, 0)
  assert.match(help.said, /GET\|HEAD \/TOKEN[\s\S]*--trusted-proxies[\s\S]*--legacy-links/)
  assert.match((await start('--version')).said, /^\d+\.\d+\.\d+\n$/)
})
