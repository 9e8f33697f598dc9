/** The whole agent, following a log that is written while it runs. */
import assert from 'node:assert/strict'
import { appendFileSync, copyFileSync, existsSync, renameSync, truncateSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { readFileSync, rmSync } from 'node:fs'
import { startProcess, until } from '../support/process.ts'
import { agentUnderTest, deliveryLines, missing, root, uuidOf } from './agent-under-test.ts'

const all = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => deliveryLines(from + index)).join('')

test('the agent waits for a log that is not there, says so, and reads it when it appears', async context => {
  const agent = await agentUnderTest(context)
  await agent.start()
  await until('health to name the log', async () => (await agent.health()).reasons['log'])
  writeFileSync(agent.logPath, all(0, 3))
  await until('three events', () => agent.endpoint.events.length === 3)
  assert.equal((await agent.health()).status, 'ok')
  const [event] = agent.endpoint.events
  assert.equal(event?.message_id, uuidOf(0))
  assert.equal(event.event_type, 'delivered')
  assert.equal(event.smtp_code, 250)
  assert.equal(event.recipient, 'r0@example.com')
  assert.match(event.timestamp ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  assert.equal(agent.endpoint.requests[0]?.key, 'test-key')
  assert.deepEqual(agent.endpoint.flaws, [])
})

test('at its first start the agent reports nothing of old, but knows the messages under way', async context => {
  const agent = await agentUnderTest(context)
  const lines = deliveryLines(1).split('\n')
  writeFileSync(agent.logPath, `${deliveryLines(0)}${lines.slice(0, 3).join('\n')}\n`)
  await agent.start()
  await until('the old lines to be read', async () => (await agent.metric('agent_lag_bytes')) === 0)
  appendFileSync(agent.logPath, lines.slice(3).join('\n'))
  await until('the event', () => agent.endpoint.events.length > 0)
  assert.deepEqual(
    agent.endpoint.events.map(event => event.message_id),
    [uuidOf(1)],
  )
})

test('a line counts when its end is there, whatever it is cut into', async context => {
  const agent = await agentUnderTest(context)
  await agent.start()
  const text = all(0, 2)
  for (let at = 0; at < text.length; at += 97) {
    appendFileSync(agent.logPath, text.slice(at, at + 97))
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  await until('both events', () => missing(agent.endpoint, 2).length === 0)
  assert.equal(agent.endpoint.events[1]?.smtp_description, '250 2.0.0 Ok: queued as 1')
})

test('a file that was renamed is read on until the new one takes over', async context => {
  const agent = await agentUnderTest(context)
  await agent.start()
  appendFileSync(agent.logPath, all(0, 10))
  await until('ten events', () => missing(agent.endpoint, 10).length === 0)
  renameSync(agent.logPath, `${agent.logPath}.1`)
  // The logger has not been told yet.
  appendFileSync(`${agent.logPath}.1`, all(10, 20))
  writeFileSync(agent.logPath, all(20, 30))
  await until('all events', () => missing(agent.endpoint, 30).length === 0)
  assert.equal(agent.endpoint.events.length, 30)
})

test('after copytruncate the copy is read to its end, then the log from its beginning', async context => {
  const agent = await agentUnderTest(context)
  await agent.start()
  appendFileSync(agent.logPath, all(0, 10))
  await until('ten events', () => missing(agent.endpoint, 10).length === 0)
  for (let round = 1; round <= 3; round++) {
    appendFileSync(agent.logPath, all(round * 10, round * 10 + 5))
    if (existsSync(`${agent.logPath}.1`)) renameSync(`${agent.logPath}.1`, `${agent.logPath}.2`)
    copyFileSync(agent.logPath, `${agent.logPath}.1`)
    truncateSync(agent.logPath)
    // Longer than before: only its beginning shows that it is another file.
    appendFileSync(agent.logPath, all(round * 10 + 5, round * 10 + 10))
    await until('all events', () => missing(agent.endpoint, round * 10 + 10).length === 0)
  }
  assert.equal(agent.endpoint.events.length, 40)
})

test('what was rotated while the agent was down is read first, oldest first, compressed or not', async context => {
  const agent = await agentUnderTest(context)
  const first = await agent.start()
  appendFileSync(agent.logPath, all(0, 10))
  await until('ten events', () => missing(agent.endpoint, 10).length === 0)
  assert.equal((await first.stop()).code, 0)
  appendFileSync(agent.logPath, all(10, 20))
  writeFileSync(`${agent.logPath}.2.gz`, gzipSync(readFileSync(agent.logPath)))
  rmSync(agent.logPath)
  writeFileSync(`${agent.logPath}.1`, all(20, 30))
  writeFileSync(agent.logPath, all(30, 40))
  await agent.start()
  await until('all events', () => missing(agent.endpoint, 40).length === 0)
  assert.deepEqual(
    agent.endpoint.events.map(event => event.recipient),
    Array.from({ length: 40 }, (_, number) => `r${number}@example.com`),
  )
  assert.equal(await agent.metric('agent_log_gap_total'), 0)
})

test('a log that was rotated away unread is a gap, which is said', async context => {
  const agent = await agentUnderTest(context)
  const first = await agent.start()
  appendFileSync(agent.logPath, all(0, 10))
  await until('ten events', () => missing(agent.endpoint, 10).length === 0)
  await first.stop()
  rmSync(agent.logPath)
  writeFileSync(agent.logPath, all(20, 30))
  await agent.start()
  await until('the rest', () => agent.endpoint.events.length === 20)
  assert.equal(await agent.metric('agent_log_gap_total'), 1)
  assert.match((await agent.health()).reasons['gap'] ?? '', /rotated away/)
})

test('NULs, invalid UTF-8, lines without end and lines of megabytes cost only themselves', async context => {
  const agent = await agentUnderTest(context)
  await agent.start()
  appendFileSync(agent.logPath, deliveryLines(0))
  appendFileSync(agent.logPath, Buffer.alloc(300_000))
  appendFileSync(agent.logPath, deliveryLines(1))
  appendFileSync(agent.logPath, Buffer.from([0xff, 0xfe, 10, 13, 10]))
  appendFileSync(agent.logPath, `${'x'.repeat(2_000_000)}\n${deliveryLines(2)}`)
  await until('three events', () => missing(agent.endpoint, 3).length === 0)
  assert.equal(agent.endpoint.events.length, 3)
  assert.ok((await agent.metric('agent_skipped_bytes_total{what="overlong"}')) > 1_900_000)
})

test('standard input ends with everything uploaded', async context => {
  const agent = await agentUnderTest(context)
  const process = await startProcess(
    'node',
    [
      `${root}cmd/agent.ts`,
      '--log-path=-',
      `--state-dir=${agent.stateDir}`,
      `--endpoint=${agent.endpoint.url}`,
      `--metrics-hostport=127.0.0.1:${agent.metricsPort}`,
    ],
    { env: { SENDPOST_API_KEY: 'test-key' }, input: all(0, 250) },
  )
  assert.equal((await process.exited).code, 0)
  assert.deepEqual(missing(agent.endpoint, 250), [])
  assert.equal(agent.endpoint.events.length, 250)
})

test('a second agent on the same state refuses, the first goes on', async context => {
  const agent = await agentUnderTest(context)
  await agent.start()
  const second = await startProcess(
    'node',
    [`${root}cmd/agent.ts`, `--state-dir=${agent.stateDir}`, '--metrics-hostport=127.0.0.1:0'],
    { env: { SENDPOST_API_KEY: 'test-key' }, input: '' },
  )
  assert.equal((await second.exited).code, 1)
  writeFileSync(agent.logPath, all(0, 1))
  await until('the event', () => agent.endpoint.events.length === 1)
})

/** Rotates as logrotate does with `rotate kept`; the log is filled anew with one more message. */
function rotated(logPath: string, how: 'create' | 'copytruncate', kept: number, text: string): void {
  const named = (number: number) => `${logPath}.${number}`
  for (let number = kept; number > 0; number--) {
    if (existsSync(named(number))) renameSync(named(number), named(number + 1))
  }
  if (how === 'create') {
    renameSync(logPath, named(1))
    writeFileSync(logPath, text)
  } else {
    copyFileSync(logPath, named(1))
    truncateSync(logPath)
    appendFileSync(logPath, text)
  }
  rmSync(named(kept + 1), { force: true })
}

for (const [how, kept, lost] of [
  ['create', 5, []],
  ['copytruncate', 5, []],
  ['create', 2, []],
  // The copy that held the second message is the third.
  ['copytruncate', 2, [1]],
  ['create', 1, [2]],
] as const) {
  test(`stopped while the log is rotated three times by ${how}, ${kept} kept: reads all that is left`, async context => {
    const agent = await agentUnderTest(context, '--from-beginning')
    const running = await agent.start()
    appendFileSync(agent.logPath, deliveryLines(0))
    await until('the first event', () => missing(agent.endpoint, 1).length === 0)
    running.kill('SIGSTOP')
    appendFileSync(agent.logPath, deliveryLines(1))
    for (let rotation = 0; rotation < 3; rotation++) {
      // What was removed in one rotation is older than the log of the next, beyond what clocks may differ.
      if (rotation > 0) await new Promise(resolve => setTimeout(resolve, 1_200))
      rotated(agent.logPath, how, kept, deliveryLines(rotation + 2))
    }
    running.kill('SIGCONT')
    const left = [0, 1, 2, 3, 4].filter(number => !(lost as readonly number[]).includes(number))
    await until('all that is left', () => left.every(number => agent.endpoint.ledger.has(uuidOf(number))))
    assert.deepEqual(
      agent.endpoint.events.map(event => event.message_id),
      left.map(number => uuidOf(number)),
    )
    assert.equal(await agent.metric('agent_log_gap_total'), lost.length)
  })
}

test('an expiry of many recipients with long texts is stored in as many records as it takes', async context => {
  const agent = await agentUnderTest(context, '--from-beginning')
  const recipients = 1_000
  const line = (program: string, text: string) =>
    `2026-11-21T12:00:00.000000+00:00 mx1 postfix/${program}[77]: A000000001: ${text}\n`
  const lines = [
    line('cleanup', `message-id=<${uuidOf(0)}@app.example>`),
    line('qmgr', `from=<news@app.example>, size=1000, nrcpt=${recipients} (queue active)`),
  ]
  const reply = `host mx.example.com[192.0.2.1] said: 450 4.1.1 ${'x'.repeat(20_000)} (in reply to RCPT TO command)`
  for (let number = 0; number < recipients; number++)
    lines.push(
      line(
        'smtp',
        `to=<r${number}@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=4.1.1, status=deferred (${reply})`,
      ),
    )
  lines.push(line('qmgr', 'from=<news@app.example>, status=expired, returned to sender'))
  writeFileSync(agent.logPath, `${lines.join('')}${deliveryLines(1)}`)
  await agent.start('--no-deferred', '--batch-events=1000')
  await until('what follows', () => agent.endpoint.ledger.has(uuidOf(1)), 30_000)
  assert.equal(agent.endpoint.events.length, recipients + 1)
  assert.equal(agent.endpoint.events[0]?.smtp_description?.length, 4096)
})

test('two members of an alias count both, and once each, also after a crash and from damaged state', async context => {
  const agent = await agentUnderTest(context, '--from-beginning')
  agent.endpoint.answer = () => ({ status: 503 })
  const line = (program: string, text: string) => `Nov 21 12:00:00 mx1 postfix/${program}[77]: A000000001: ${text}\n`
  const delivered = (to: string) =>
    line(
      'smtp',
      `to=<${to}>, orig_to=<staff@app.example>, relay=mx.example.com[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)`,
    )
  writeFileSync(
    agent.logPath,
    [
      line('cleanup', `message-id=<${uuidOf(0)}@app.example>`),
      line('qmgr', 'from=<news@app.example>, size=1000, nrcpt=2 (queue active)'),
      delivered('ann@example.com'),
      delivered('bob@example.com'),
    ].join(''),
  )
  const killed = await agent.start()
  await until('both to be stored', async () => (await agent.metric('agent_events_total{type="delivered"}')) === 2)
  killed.kill('SIGKILL')
  await killed.exited
  // Without its cursor it reads the log again; what it had stored is still there.
  writeFileSync(`${agent.stateDir}/cursor`, 'damaged')
  agent.endpoint.answer = () => undefined
  await agent.start()
  appendFileSync(agent.logPath, deliveryLines(1))
  await until('what follows', () => agent.endpoint.ledger.has(uuidOf(1)))
  assert.equal(agent.endpoint.ledger.get(uuidOf(0)), 2)
})
