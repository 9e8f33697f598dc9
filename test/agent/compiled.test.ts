/**
 * What the agent does without: it runs from what was compiled before, for what strips types takes 15 MB of memory, and with
 * those parts of undici that it uses, for the whole takes 5.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startProcess } from '../support/process.ts'
import { root } from './agent-under-test.ts'

const tellNeedless = `process.on('exit', () => {
  const modules = [...process.moduleLoadList, ...Object.keys(process.getBuiltinModule('node:module')._cache)]
  process.stderr.write(modules.filter(name => /amaro|undici.index|undici.lib.web/.test(name)).join())
})`

test('after --check no run strips types, none loads all of undici', async context => {
  const dir = mkdtempSync(join(tmpdir(), 'agent-'))
  context.after(() => rmSync(dir, { recursive: true }))
  const agent = async (...options: string[]) => {
    const ended = await startProcess('node', [`${root}cmd/agent.ts`, ...options], {
      env: {
        SENDPOST_API_KEY: 'test-key',
        AGENT_CONFIG: undefined,
        NODE_COMPILE_CACHE: join(dir, 'compiled'),
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(tellNeedless)}`,
      },
      input: '',
    })
    assert.deepEqual(await ended.exited, { code: 0, signal: null }, ended.output.stderr)
    return ended.output
  }
  await agent('--check')
  const run = await agent('--log-path=-', `--state-dir=${join(dir, 'state')}`, '--metrics-hostport=127.0.0.1:0')
  assert.match(run.stdout, /following the log/)
  assert.equal(run.stderr, '')
})
