/** `agent --doctor` on the Postfix of this machine, with configurations good and broken. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { startProcess } from '../support/process.ts'
import { root } from './agent-under-test.ts'

const zoned = '2026-11-21T16:24:03.867203+00:00 mx postfix/smtp[7]: 4jWyWp3dgpzMNjJ: removed\n'
const good: Record<string, string> = {
  compatibility_level: '3.6',
  header_checks: `regexp:${root}config/postfix/header_checks`,
  nested_header_checks: '',
  mime_header_checks: '',
  enable_long_queue_ids: 'yes',
}

/** What it finds wrong, and its exit code. */
async function examine(context: TestContext, settings: Record<string, string>, ...more: string[]) {
  const dir = mkdtempSync(join(tmpdir(), 'doctor-'))
  context.after(() => rmSync(dir, { recursive: true }))
  const log = join(dir, 'mail.log')
  writeFileSync(log, zoned.repeat(3))
  writeFileSync(join(dir, 'broken'), '/^X-Sendpost(/ INFO\n')
  writeFileSync(join(dir, 'strip'), '/^X-/ IGNORE\n')
  const lines = Object.entries({ ...good, ...settings }).map(
    ([name, value]) => `${name} = ${value.replaceAll('DIR', dir)}\n`,
  )
  writeFileSync(join(dir, 'main.cf'), lines.join(''))
  writeFileSync(join(dir, 'master.cf'), '')
  const words = [`${root}cmd/agent.ts`, '--doctor', `--postfix-config=${dir}`, `--log-path=${log}`, ...more]
  const process = await startProcess('node', words, { env: { AGENT_CONFIG: undefined } })
  const { code } = await process.exited
  const found = process.output.stdout.trim().split('\n')
  return { code, wrong: found.filter(line => !line.startsWith('ok ')) }
}

const cases: Record<string, [settings: Record<string, string>, code: number, words: RegExp]> = {
  'header_checks that log nothing': [{ header_checks: '' }, 0, /^warn  .*do not log/],
  'a table that is not there, before a good one': [
    { header_checks: `regexp:DIR/none, ${good['header_checks']}` },
    1,
    /^fail  .*DIR\/none can't be asked: .*No such file/,
  ],
  'a table that is broken, before a good one': [
    { header_checks: `regexp:DIR/broken ${good['header_checks']}` },
    1,
    /^fail  .*DIR\/broken can't be asked: .*Unmatched/,
  ],
  'a table that takes the header away first': [
    { header_checks: `regexp:DIR/strip ${good['header_checks']}` },
    1,
    /^fail  .*answer IGNORE/,
  ],
  'header_checks that are never asked': [
    { receive_override_options: 'no_header_body_checks' },
    1,
    /^fail  .*no_header_body_checks/,
  ],
  'nested headers': [{ nested_header_checks: '$header_checks' }, 0, /^warn  nested_header_checks/],
  'short queue ids': [{ enable_long_queue_ids: 'no' }, 0, /^warn  short queue ids/],
  'a queue that outlives the map': [{ maximal_queue_lifetime: '2w' }, 1, /^fail  maximal_queue_lifetime is 2w/],
  soft_bounce: [{ soft_bounce: 'yes' }, 0, /^warn  soft_bounce/],
  'a log elsewhere': [{ maillog_file: '/var/log/postfix.log' }, 0, /^warn  .*--log-path \/var\/log\/postfix.log/],
  'a log on standard output': [{ maillog_file: '/dev/stdout' }, 0, /^warn  .*--log-path -$/],
  'further instances': [
    { multi_instance_directories: '/etc/postfix-out' },
    0,
    /^warn  .*--postfix-config \/etc\/postfix-out/,
  ],
}

test('--doctor finds nothing wrong with an installation as config/postfix makes it', async context => {
  assert.deepEqual(await examine(context, {}), { code: 0, wrong: [] })
})
test('--doctor understands a table that stands in the setting itself', async context => {
  const header = 'regexp:{{/^X-Sendpost-Message-UUID:/ INFO}, {/^Subject: a, b/ DUNNO}}'
  assert.deepEqual(await examine(context, { header_checks: header }), { code: 0, wrong: [] })
})
for (const [name, [settings, code, words]] of Object.entries(cases)) {
  test(`--doctor finds ${name}, and that only`, async context => {
    const found = await examine(context, settings)
    assert.equal(found.wrong.length, 1, found.wrong.join('\n'))
    assert.match(
      found.wrong[0]!.replaceAll(/\S*\/doctor-\w+/g, path => path.replace(/\/.*/, 'DIR')),
      words,
    )
    assert.equal(found.code, code)
  })
}
test('--doctor looks at the log also where there is no Postfix', async context => {
  const { code, wrong } = await examine(context, {}, '--postfix-config=/nowhere', '--log-path=/nowhere/mail.log')
  assert.equal(code, 1)
  assert.match(wrong[0] ?? '', /postconf does not answer/)
  assert.match(wrong[1] ?? '', /nowhere\/mail.log is not there/)
})
