/** The example configuration is what a user starts from: every process must accept it as it stands. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { startProcess } from '../support/process.ts'

const root = resolve(import.meta.dirname, '../..')
const env = { SENDPOST_API_KEY: 'example', SPARKPOST_API_KEY_INGEST: 'example' }

let dir: string
let keys: string
before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'mta-example-'))
  keys = join(dir, 'link-keys')
  const made = await startProcess('node', ['cmd/linktool.ts', 'keys', 'new', '--link-keys', keys], { cwd: root })
  assert.equal((await made.exited).code, 0, made.output.stderr)
})
after(() => rmSync(dir, { recursive: true, force: true }))

for (const name of ['wrapper', 'tracker', 'acct_etl', 'feeder', 'agent', 'console']) {
  test(`${name} accepts the example configuration`, async () => {
    const args = [`cmd/${name}.ts`, '--config', 'config/mta-tracking.example.yaml', '--link-keys', keys, '--check']
    const check = await startProcess('node', args, { cwd: root, env })
    const end = await check.exited
    assert.equal(end.code, 0, check.output.stderr + check.output.stdout)
  })
}
