/** What the agent does with each answer of the ingestion API. */
import assert from 'node:assert/strict'
import { appendFileSync, existsSync, globSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startProcess, until } from '../support/process.ts'
import { agentUnderTest, deliveryLines, missing, root, uuidOf } from './agent-under-test.ts'

const all = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => deliveryLines(from + index)).join('')

for (const status of [408, 425, 429, 500, 502, 503]) {
  test(`${status}: again after a second`, async context => {
    const agent = await agentUnderTest(context)
    agent.endpoint.answer = () => (agent.endpoint.requests.length === 1 ? { status } : undefined)
    await agent.start()
    writeFileSync(agent.logPath, all(0, 3))
    await until('the events', () => missing(agent.endpoint, 3).length === 0)
    const [first, second] = agent.endpoint.requests
    assert.deepEqual(second?.events, first?.events)
    assert.ok(second!.atMs - first!.atMs >= 790, 'one second less 20 %')
  })
}

test('429 with Retry-After: not before that', async context => {
  const agent = await agentUnderTest(context)
  agent.endpoint.answer = () =>
    agent.endpoint.requests.length === 1 ? { status: 429, headers: { 'retry-after': '2' } } : undefined
  await agent.start()
  writeFileSync(agent.logPath, all(0, 1))
  await until('the event', () => missing(agent.endpoint, 1).length === 0)
  const [first, second] = agent.endpoint.requests
  assert.ok(second!.atMs - first!.atMs >= 2000)
})

test('an answer that is lost: the same events again', async context => {
  const agent = await agentUnderTest(context)
  agent.endpoint.answer = () => (agent.endpoint.requests.length === 1 ? { status: 200, loseAnswer: true } : undefined)
  await agent.start()
  writeFileSync(agent.logPath, all(0, 3))
  await until('the second request', () => agent.endpoint.requests.length === 2)
  assert.deepEqual(agent.endpoint.requests[0]?.events, agent.endpoint.requests[1]?.events)
})

test('400: the one bad event of a batch is found and kept aside, all others arrive', async context => {
  const agent = await agentUnderTest(context)
  const bad = uuidOf(137)
  agent.endpoint.answer = ({ events }) => (events.some(event => event.message_id === bad) ? { status: 400 } : undefined)
  await agent.start()
  writeFileSync(agent.logPath, all(0, 300))
  await until('all but one', () => missing(agent.endpoint, 300).length === 1, 20_000)
  const letters = await until('the dead letter', () => globSync(`${agent.stateDir}/dead-letters/*.ndjson`)[0])
  assert.equal(readFileSync(letters, 'utf8').trim().split('\n').length, 1)
  assert.ok(readFileSync(letters, 'utf8').includes(bad))
  assert.ok(agent.endpoint.requests.length <= 3 + 14, `${agent.endpoint.requests.length} requests`)
})

test('413: in halves', async context => {
  const agent = await agentUnderTest(context)
  agent.endpoint.answer = ({ events }) => (events.length > 20 ? { status: 413 } : undefined)
  await agent.start()
  writeFileSync(agent.logPath, all(0, 100))
  await until('all', () => missing(agent.endpoint, 100).length === 0)
})

for (const status of [401, 403, 302]) {
  test(`${status}: everything is kept, health says so, a new key file is read`, async context => {
    const agent = await agentUnderTest(context)
    const keyFile = `${agent.dir}/key`
    writeFileSync(keyFile, 'old-key\n')
    agent.endpoint.answer = ({ key }) => (key === 'new-key' ? undefined : { status })
    const running = await agent.start(`--api-key-file=${keyFile}`)
    writeFileSync(agent.logPath, all(0, 5))
    const reason = await until('health', async () => (await agent.health()).reasons['upload'])
    assert.match(reason, /check key and endpoint/)
    assert.equal(agent.endpoint.requests.length, 1)
    writeFileSync(keyFile, 'new-key\n')
    running.kill('SIGHUP')
    await until('the events', () => missing(agent.endpoint, 5).length === 0)
    assert.equal((await agent.health()).status, 'ok')
  })
}

test('while the API is away the disk fills to its bound, then reading stops, and nothing is lost', async context => {
  const agent = await agentUnderTest(context, '--wal-max-bytes=1MB')
  let away = true
  agent.endpoint.answer = () => (away ? { status: 503 } : undefined)
  const running = await agent.start()
  for (let from = 0; from < 6000; from += 600) appendFileSync(agent.logPath, all(from, from + 600))
  await until('backpressure', async () => (await agent.health()).reasons['backpressure'], 20_000)
  assert.equal(await agent.metric('agent_backpressure'), 1)
  const files = globSync(`${agent.stateDir}/pending.wal/*`).map(file => lstatSync(file).size)
  assert.ok(files.reduce((sum, bytes) => sum + bytes, 0) < 1_100_000)
  // Also over a restart.
  await running.stop()
  away = false
  await agent.start()
  await until('all events', () => missing(agent.endpoint, 6000).length === 0, 30_000)
  assert.ok(agent.endpoint.events.length <= 6100, `${agent.endpoint.events.length} events`)
})

test('the key never appears in log, health or metrics', async context => {
  const agent = await agentUnderTest(context)
  agent.endpoint.answer = () => ({ status: 401 })
  const running = await agent.start()
  writeFileSync(agent.logPath, all(0, 2))
  await until('a refusal', () => agent.endpoint.requests.length > 0)
  await until('health', async () => (await agent.health()).reasons['upload'])
  const metrics = await (await fetch(`http://127.0.0.1:${agent.metricsPort}/metrics`)).text()
  const said = running.output.stdout + running.output.stderr + metrics + JSON.stringify(await agent.health())
  assert.ok(!said.includes('test-key'))
  assert.ok(!said.includes('@example.com'), 'nor an address')
})

test('without a key it does not start, and says what to do', async context => {
  const agent = await agentUnderTest(context)
  const process = await startProcess(
    'node',
    [`${root}cmd/agent.ts`, `--state-dir=${agent.stateDir}`, '--metrics-hostport=127.0.0.1:0'],
    { env: { SENDPOST_API_KEY: undefined, AGENT_CONFIG: undefined }, input: '' },
  )
  assert.equal((await process.exited).code, 2)
  assert.match(process.output.stderr, /set SENDPOST_API_KEY or --api-key-file/)
  assert.ok(!existsSync(`${agent.stateDir}/cursor`))
})

test('a share of the disk that is too small for one record is refused', async context => {
  const agent = await agentUnderTest(context)
  const process = await startProcess(
    'node',
    [`${root}cmd/agent.ts`, `--state-dir=${agent.stateDir}`, '--wal-max-bytes=999kB', '--metrics-hostport=127.0.0.1:0'],
    { env: { SENDPOST_API_KEY: 'test-key' }, input: '' },
  )
  assert.equal((await process.exited).code, 2)
  assert.match(process.output.stderr, /--wal-max-bytes: expected at least 1MB/)
})

test('a folder for dead letters that can not be made is said in one line', async context => {
  const agent = await agentUnderTest(context)
  mkdirSync(agent.stateDir)
  writeFileSync(join(agent.stateDir, 'dead-letters'), '')
  const process = await agent.spawn()
  assert.equal((await process.exited).code, 1)
  assert.match(process.output.stdout, /"reason":"[^"]*dead-letters can't be made \(EEXIST\): check/)
  assert.ok(!process.output.stdout.includes('stack'))
})

test('what an endpoint may hold of secrets is told neither by the log nor by the refusal of a bad one', async context => {
  const agent = await agentUnderTest(context)
  const query = '?token=hunter2'
  const running = await agent.start(`--endpoint=${agent.endpoint.url}${query}`)
  assert.match(running.output.stdout, /"endpoint":"http:\/\/127\.0\.0\.1:\d+"/)
  for (const bad of [`https://user:hunter2@api.example/`, `http://api.example/${query}`]) {
    const refused = await startProcess('node', [`${root}cmd/agent.ts`, '--check', `--endpoint=${bad}`])
    assert.equal((await refused.exited).code, 1)
    assert.match(refused.output.stderr, /--endpoint: .*expected/)
    assert.ok(!refused.output.stderr.includes('hunter2'), refused.output.stderr)
  }
  await running.stop()
  assert.ok(!running.output.stdout.includes('hunter2'), running.output.stdout)
})
