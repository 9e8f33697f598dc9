import assert from 'node:assert/strict'
import { test } from 'node:test'
import { examine, type Examined } from './doctor.ts'

const good: Record<string, string> = {
  mail_version: '3.7.11',
  header_checks: 'regexp:/etc/postfix/header_checks',
  nested_header_checks: '',
  mime_header_checks: '',
  enable_long_queue_ids: 'yes',
  maximal_queue_lifetime: '5d',
  soft_bounce: 'no',
}

async function levels(settings: Record<string, string>, action = 'INFO', log = 'x\nzoned\n', rules: string[] = []) {
  const examined: Examined = {
    run: async (command, ...words) => {
      const answer = (ok: boolean, output = '') => ({ ok, output: `${output}\n`, complaint: '' })
      if (command === 'postmap') return answer(action !== '', action)
      return command === 'postconf' ? answer(true, settings[words.at(-1)!]) : answer(false)
    },
    tail: async () => {
      if (log === '') throw Object.assign(new Error('no'), { code: 'ENOENT' })
      return log
    },
    contents: async () => rules,
  }
  const findings = await examine(examined, {
    logPaths: ['/var/log/mail.log'],
    configDir: undefined,
    mapTtlMs: 5 * 86_400_000,
    recognise: line => (line === 'zoned' ? 'zoned' : line === 'local' ? 'local' : 'unknown'),
  })
  return findings.filter(({ level }) => level !== 'ok').map(({ level, text }) => `${level} ${text}`)
}

const cases: Record<string, [Promise<string[]>, RegExp]> = {
  'header_checks that log nothing': [levels(good, ''), /^warn header_checks do not log/],
  'header_checks that take the header away': [levels(good, 'IGNORE'), /^fail .*INFO/],
  'nested headers': [levels({ ...good, nested_header_checks: '$header_checks' }), /^warn nested_header_checks/],
  'short queue ids': [levels({ ...good, enable_long_queue_ids: 'no' }), /^warn short queue ids/],
  'a queue that outlives the map': [
    levels({ ...good, maximal_queue_lifetime: '2w' }),
    /^fail maximal_queue_lifetime is 2w/,
  ],
  soft_bounce: [levels({ ...good, soft_bounce: 'yes' }), /^warn soft_bounce/],
  'a log that is not there': [levels(good, 'INFO', ''), /^fail .*not there/],
  'a log without time zone': [levels(good, 'INFO', 'x\nlocal\n'), /^warn .*time zone/],
  'a log of something else': [levels(good, 'INFO', 'x\ny\n'), /^warn .*none of its last/],
  copytruncate: [
    levels(good, 'INFO', 'x\nzoned\n', ['/var/log/mail.log {\n  copytruncate\n}']),
    /^warn .*copytruncate/,
  ],
}

test('examine finds nothing wrong where nothing is', async () => assert.deepEqual(await levels(good), []))
for (const [name, [found, words]] of Object.entries(cases)) {
  test(`examine finds ${name}, and that only`, async () => {
    const findings = await found
    assert.equal(findings.length, 1)
    assert.match(findings[0]!, words)
  })
}
