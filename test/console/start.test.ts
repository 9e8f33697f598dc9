/** How the console starts, refuses to start, and stops. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync, mkdirSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startConsole } from '../support/console.ts'
import { freePort, startProcess } from '../support/process.ts'

const program = fileURLToPath(new URL('../../cmd/console.ts', import.meta.url))

let dir: string
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'console-'))
})
after(() => rmSync(dir, { recursive: true }))

/** Runs it to its end. */
async function ended(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const started = await startProcess('node', [program, ...args], { cwd: dir, env, input: '' })
  const { code } = await started.exited
  return { code, ...started.output }
}

async function freePlaces(): Promise<string[]> {
  return [
    `--in-hostport=127.0.0.1:${await freePort()}`,
    `--smtp-hostport=127.0.0.1:${await freePort()}`,
    `--data-dir=${join(dir, 'data')}`,
  ]
}

test('--help prints the manual', async () => {
  const { code, stdout } = await ended(['--help'])
  assert.equal(code, 0)
  assert.match(stdout, /GET \/api\/events[\s\S]*--smtp-hostport[\s\S]*--keep-events/)
})

test('SIGTERM ends it with 0, soon, also with connections open', async () => {
  const it = await startConsole()
  const connections = [
    fetch(`${it.url}/`),
    new Promise<void>(resolve => createConnection(it.smtpPort, '127.0.0.1', () => resolve())),
  ]
  await Promise.all(connections)
  const from = performance.now()
  assert.deepEqual(await it.stop(), { code: 0, signal: null })
  assert.ok(performance.now() - from < 5_000)
})

for (const which of ['in', 'smtp']) {
  test(`a port in use (--${which}-hostport) is one clear line and exit 1`, async () => {
    const taken = createServer()
    await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = taken.address() as { port: number }
      const { code, stdout } = await ended([...(await freePlaces()), `--${which}-hostport=127.0.0.1:${port}`])
      assert.equal(code, 1)
      assert.equal(stdout.trim().split('\n').length, 1)
      assert.match(stdout, new RegExp(`127\\.0\\.0\\.1:${port} is in use`))
    } finally {
      taken.close()
    }
  })
}

for (const at of ['0.0.0.0:0', ':0', '[::]:0', '192.0.2.1:0']) {
  for (const which of ['in', 'smtp']) {
    test(`--${which}-hostport ${at} without a key is refused`, async () => {
      const { code, stderr } = await ended([...(await freePlaces()), `--${which}-hostport=${at}`])
      assert.equal(code, 2)
      assert.match(stderr, /can be reached from other machines: set an API key/)
    })
  }
}

test('a second console on the same folder is refused', async () => {
  const it = await startConsole()
  try {
    const { code, stdout } = await ended([...(await freePlaces()), `--data-dir=${join(it.dir, 'data')}`])
    assert.equal(code, 1)
    assert.match(stdout, /used by another console/)
  } finally {
    await it.stop()
  }
})

test('a damaged database is named, with what to do', async () => {
  const data = join(dir, 'damaged')
  mkdirSync(data)
  writeFileSync(
    join(data, 'console.sqlite'),
    'this is no database at all, but it is long enough to be taken for one'.repeat(50),
  )
  const { code, stdout } = await ended([...(await freePlaces()), `--data-dir=${data}`])
  assert.equal(code, 1)
  assert.match(stdout, /is damaged/)
})

test('a folder that can not be made is named', async () => {
  writeFileSync(join(dir, 'file'), '')
  const { code, stdout } = await ended([...(await freePlaces()), `--data-dir=${join(dir, 'file', 'data')}`])
  assert.equal(code, 1)
  assert.match(stdout, /--data-dir .* can't be used/)
})

test('nothing is printed but log lines, and the key is in none of them', async () => {
  const it = await startConsole([], { CONSOLE_API_KEY: 'very-secret-key' })
  await fetch(`${it.url}/api/v1/ingest/events`, { method: 'POST', headers: { authorization: 'very-secret-key-not' } })
  await it.process.stop()
  const { stdout, stderr } = it.process.output
  await it.stop()
  assert.equal(stderr, '')
  assert.doesNotMatch(stdout, /very-secret/)
  for (const line of stdout.trim().split('\n')) JSON.parse(line)
})
