import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { correlatorDefaults } from './correlator-options.ts'
import { explain } from './explain.ts'
import { PostfixLog } from './postfix-log.ts'
import { TimeZone } from './time-zone.ts'

const u1 = '11111111-1111-4111-8111-111111111111'
const u2 = '22222222-2222-4222-8222-222222222222'
const status = (id: string, relay: string, text: string) =>
  `${id}: to=<r@x>, relay=${relay}, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (${text})`
/** A message through a content filter, named by the header of its first hop only; another one on two hosts; one without UUID. */
const lines = [
  'mx A0000000001: client=app[10.0.0.1]',
  'mx A0000000001: message-id=<1@x>',
  `mx A0000000001: info: header X-Sendpost-Message-UUID: ${u1} from app[10.0.0.1]; from=<s@x> to=<r@x> proto=ESMTP helo=<h>`,
  'mx B0000000002: client=localhost[127.0.0.1]',
  'mx B0000000002: message-id=<1@x>',
  `mx ${status('B0000000002', 'far[192.0.2.1]:25', '250 ok')}`,
  'mx C0000000003: client=app[10.0.0.1]',
  `mx C0000000003: message-id=<${u2}@x>`,
  'other A0000000001: client=app[10.0.0.1]',
  `other A0000000001: message-id=<${u2}@x>`,
  `mx ${status('A0000000001', '127.0.0.1[127.0.0.1]:10024', '250 Ok: queued as B0000000002')}`,
  'mx A0000000001: removed',
  'mx D0000000004: client=app[10.0.0.1]',
  `mx ${status('D0000000004', 'far[192.0.2.1]:25', '250 ok')}`,
]
const dir = mkdtempSync(join(tmpdir(), 'explain-'))
after(() => rmSync(dir, { recursive: true }))
const path = join(dir, 'mail.log')
writeFileSync(path, lines.map(line => `2026-11-21T16:24:03Z ${line.replace(' ', ' postfix/x[7]: ')}\n`).join(''))

/** Verdict and queue id of each line shown, the events, and the last line. */
async function explained(target: string) {
  const shown: string[] = []
  await explain(
    target,
    [path],
    report => new PostfixLog(correlatorDefaults, new TimeZone('UTC'), { report, suppressed: () => undefined }),
    line => shown.push(line),
  )
  const events = shown.filter(line => line.includes('→')).map(line => /"event_type":"(\w+)"/.exec(line)?.[1])
  const own = shown.slice(0, -1).filter(line => !line.includes('→'))
  return {
    ids: [...new Set(own.map(line => /x\[7\]: (\w+)/.exec(line)?.[1]))],
    lines: own.length,
    events,
    end: shown.at(-1),
  }
}

for (const target of [u1, u1.toUpperCase(), 'A0000000001']) {
  test(`explain follows ${target} through its hops`, async () => {
    const { ids, events, end } = await explained(target)
    assert.deepEqual(ids.slice(0, 2), ['A0000000001', 'B0000000002'])
    assert.deepEqual(events.slice(0, 1), ['delivered'])
    assert.match(end ?? '', /^\d+ lines, \d events$/)
  })
}
test('explain shows the lines of one UUID only', async () => {
  const { lines: count, events } = await explained(u1)
  assert.equal(count, 8)
  assert.deepEqual(events, ['delivered'])
})
test('explain shows a message that has no result yet', async () => {
  assert.deepEqual(await explained('C0000000003'), {
    ids: ['C0000000003', 'A0000000001'],
    lines: 4,
    events: [],
    end: '4 lines, 0 events',
  })
})
test('explain says when no UUID was logged', async () => {
  const { lines: count, end } = await explained('D0000000004')
  assert.equal(count, 2)
  assert.match(end ?? '', /No UUID was logged/)
})
test('explain says when there is nothing', async () => {
  assert.match((await explained('E0000000005')).end ?? '', /is not in these files/)
})
