/** The systemd unit: what systemd says of it, where its tools are. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from './agent-under-test.ts'

const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0

test('the unit is valid, and shuts the agent in', { skip: !hasSystemd && 'no systemd-analyze' }, context => {
  const dir = mkdtempSync(join(tmpdir(), 'unit-'))
  context.after(() => rmSync(dir, { recursive: true }))
  const unit = join(dir, 'sendpost-agent.service')
  const text = readFileSync(`${root}config/systemd/sendpost-agent.service`, 'utf8')
  writeFileSync(unit, text.replaceAll('/usr/bin/node', process.execPath).replaceAll('/opt/mta-tracking/', root))
  const analyze = (...args: string[]) => spawnSync('systemd-analyze', args, { encoding: 'utf8' })
  const verified = analyze('verify', unit)
  assert.equal(verified.status, 0, verified.stderr)
  assert.equal(verified.stderr, '')
  const exposure = analyze('security', '--offline=true', '--threshold=20', unit)
  assert.equal(exposure.status, 0, exposure.stdout.trim().split('\n').at(-1))
})
