/** `agent --dry-run`: its standard output is its result. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
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

test('a pipe is read to its end', async context => {
  const dir = mkdtempSync(join(tmpdir(), 'dry-run-'))
  context.after(() => rmSync(dir, { recursive: true }))
  const log = join(dir, 'mail.log')
  writeFileSync(log, [1, 2, 3].map(number => deliveryLines(number)).join(''))
  const { exited, output } = await startProcess('bash', [
    '-c',
    `"$0" "$1" --dry-run <(sleep 0.2; cat "$2")`,
    ...[process.execPath, `${root}cmd/agent.ts`, log],
  ])
  assert.equal((await exited).code, 0, output.stderr)
  assert.equal(output.stdout.trimEnd().split('\n').length, 3)
})

test('a pipe that nobody writes to is waited for, and does not hold up the end', async context => {
  const dir = mkdtempSync(join(tmpdir(), 'dry-run-'))
  context.after(() => rmSync(dir, { recursive: true }))
  const pipe = join(dir, 'pipe')
  execFileSync('mkfifo', [pipe])
  const agent = await startProcess('node', [`${root}cmd/agent.ts`, '--dry-run', pipe])
  await new Promise(resolve => setTimeout(resolve, 1_000))
  assert.equal(agent.child.exitCode, null)
  agent.kill('SIGTERM')
  const { code } = await agent.exited
  assert.equal(code, 0, agent.output.stderr)
})

test('what is followed is a file', async context => {
  const dir = mkdtempSync(join(tmpdir(), 'dry-run-'))
  context.after(() => rmSync(dir, { recursive: true }))
  const pipe = join(dir, 'pipe')
  execFileSync('mkfifo', [pipe])
  for (const path of [pipe, dir]) {
    const args = [`${root}cmd/agent.ts`, '--check', '--api-key=key', `--log-path=${path}`]
    const { exited, output } = await startProcess('node', args)
    assert.equal((await exited).code, 1)
    assert.match(output.stdout + output.stderr, /--log-path \S+ is not a regular file: send a pipe to standard input/)
  }
  // A folder that happens to be called so is not what is meant.
  mkdirSync(join(dir, 'journald'))
  const args = [`${root}cmd/agent.ts`, '--check', '--api-key=key', '--log-path=journald']
  const { exited, output } = await startProcess('node', args, { cwd: dir })
  assert.equal((await exited).code, 0, output.stdout + output.stderr)
})
