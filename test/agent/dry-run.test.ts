/** `agent --dry-run`: its standard output is its result. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startProcess } from '../support/process.ts'
import { deliveryLines, root } from './agent-under-test.ts'

test('a file that is not there is told on standard error, after the events of those that are', async context => {
  const dir = mkdtempSync(join(tmpdir(), 'dry-run-'))
  context.after(() => rmSync(dir, { recursive: true }))
  const [log, missing] = [join(dir, 'mail.log'), join(dir, 'missing.log')]
  writeFileSync(log, deliveryLines(1))
  const { exited, output } = await startProcess('node', [`${root}cmd/agent.ts`, '--dry-run', log, missing])
  assert.equal((await exited).code, 1)
  const events = output.stdout.trimEnd().split('\n')
  assert.deepEqual(
    events.map(line => (JSON.parse(line) as { event_type?: string }).event_type),
    ['delivered'],
  )
  assert.match(output.stderr, /^agent: \S+missing\.log can't be read: ENOENT[^\n]*\n$/)
})
