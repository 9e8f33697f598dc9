/** What the feeder does when the API, Redis or the feeder itself fails: nothing is lost, repeats carry the same id. */
import assert from 'node:assert/strict'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { until } from '../support/process.ts'
import { arrived, key, type Rig, type RunningFeeder, setUp } from './rig.ts'

let rig: Rig
beforeEach(async () => {
  rig = await setUp()
})
afterEach(() => rig.stop())

/** Metrics conserve, nothing is left, and nothing arrived that was not issued. */
async function settled(feeder: RunningFeeder, issued: readonly { id: string }[]): Promise<void> {
  await until('the queue to be empty', async () => (await rig.waiting()) === 0, 20_000)
  await until('everything to be settled', async () => (await feeder.metric('feeder_events_held')) === 0)
  const [taken, uploaded, dead, returned] = await Promise.all([
    feeder.metric('feeder_events_taken_total'),
    feeder.metric('feeder_events_uploaded_total'),
    feeder.metric('feeder_events_dead_lettered_total'),
    feeder.metric('feeder_events_returned_total'),
  ])
  assert.equal(taken, uploaded + dead + returned, 'taken = uploaded + dead-lettered + returned')
  const ids = new Set(issued.map(({ id }) => id))
  for (const id of rig.endpoint.ledger.keys()) assert.ok(ids.has(id), `${id} was never issued`)
  assert.deepEqual(rig.endpoint.flaws, [])
}

test('API answers 500, 503, 429, HTML and nothing at all: everything arrives, once', async () => {
  const script = [
    { status: 500, body: '<html>oops</html>' },
    { status: 429, headers: { 'retry-after': '1' } },
    { status: 503, loseAnswer: true },
    { status: 502, body: '' },
  ]
  rig.endpoint.answer = () => script.shift()
  const issued = await rig.issue(300)
  const feeder = await rig.feeder()
  await arrived(rig, issued, 40_000)
  await settled(feeder, issued)
  assert.ok([...rig.endpoint.ledger.values()].every(times => times === 1))
})

test('a 200 that is no JSON counts as success', async () => {
  rig.endpoint.answer = () => ({ status: 200, body: '<html>fine</html>', headers: { 'content-type': 'text/html' } })
  const issued = await rig.issue(20)
  const feeder = await rig.feeder()
  await arrived(rig, issued)
  await settled(feeder, issued)
})

test('a 200 that says that nothing was taken over is no success', async () => {
  const refusals = ['{"errors":[{"message":"no quota for reader@example.net"}]}', '{"errors":[{"message":"again"}]}']
  const asked: number[] = []
  rig.endpoint.answer = ({ events }) => {
    asked.push(events.length)
    const body = refusals.shift()
    return body === undefined ? undefined : { status: 200, body }
  }
  const issued = await rig.issue(20)
  const feeder = await rig.feeder()
  await until('the batch to be sent again, twice', () => asked.length === 3)
  await settled(feeder, issued)
  assert.match(feeder.output.stdout, /HTTP 200: no quota for \[address\]/)
  assert.equal(await feeder.metric('feeder_events_uploaded_total'), 20)
})

test('a poison event is found and put to the dead letters, the others arrive', async () => {
  const issued = await rig.issue(500)
  const poison = issued[333]
  rig.endpoint.answer = ({ events }) =>
    events.some(event => event.event_id === poison?.id)
      ? { status: 422, body: '{"errors":[{"message":"bad ip"}]}' }
      : undefined
  const feeder = await rig.feeder()
  await arrived(
    rig,
    issued.filter(event => event !== poison),
  )
  await settled(feeder, issued)
  const letters = await rig.deadLetters()
  assert.deepEqual(
    letters.map(letter => [letter.event?.id, letter.reason]),
    [[poison?.id, 'HTTP 422: bad ip']],
  )
})

test('413 halves until it fits', async () => {
  rig.endpoint.answer = ({ events }) => (events.length > 60 ? { status: 413 } : undefined)
  const issued = await rig.issue(400)
  const feeder = await rig.feeder()
  await arrived(rig, issued)
  await settled(feeder, issued)
  assert.deepEqual(await rig.deadLetters(), [])
})

test('401 keeps everything and says so until the key in its file is mended', async () => {
  const keyFile = join(rig.dir, 'key')
  await writeFile(keyFile, 'wrong-canary\n')
  rig.endpoint.answer = ({ headers }) => (headers.authorization === key ? undefined : { status: 401 })
  const issued = await rig.issue(50)
  const feeder = await rig.feeder([`--api-key-file=${keyFile}`])
  await until('health to say so', async () => (await feeder.health()).reasons['upload']?.includes('401'))
  assert.equal(await rig.waiting(), 50)
  const requests = rig.endpoint.requests.length
  assert.ok(requests <= 4, `${requests} requests`)
  await writeFile(keyFile, `${key}\n`)
  feeder.kill('SIGHUP')
  await arrived(rig, issued)
  await settled(feeder, issued)
  assert.equal((await feeder.health()).status, 'ok')
  assert.ok(!feeder.output.stdout.includes('canary'), 'a key in the log')
})

test('a redirect is not followed, and the key goes nowhere else', async () => {
  rig.endpoint.answer = ({ url }) =>
    url === '/api/v1/ingest/events'
      ? { status: 307, headers: { location: `${rig.endpoint.url}/elsewhere` } }
      : undefined
  await rig.issue(5)
  const feeder = await rig.feeder()
  await until('health to say so', async () => (await feeder.health()).reasons['upload']?.includes('307'))
  assert.deepEqual(
    rig.endpoint.requests.filter(({ url }) => url === '/elsewhere'),
    [],
  )
  assert.equal(await rig.waiting(), 5)
})

test('an answer that is lost costs a repeat with the same ids', async () => {
  let first = true
  rig.endpoint.answer = () => {
    const answer = first ? { status: 200, loseAnswer: true } : undefined
    first = false
    return answer
  }
  const issued = await rig.issue(100)
  const feeder = await rig.feeder(['--uploads=1'])
  await arrived(rig, issued)
  await settled(feeder, issued)
  assert.equal(rig.endpoint.ledger.size, 100)
})

test('a slow API is waited for, several requests at a time', async () => {
  rig.endpoint.answer = () => ({ status: 200, delayMs: 300 })
  const issued = await rig.issue(600)
  const feeder = await rig.feeder(['--batch-bytes=20kB', '--request-timeout=5s'])
  await arrived(rig, issued)
  await settled(feeder, issued)
})

test('an API that does not answer in time is asked again', async () => {
  let first = true
  rig.endpoint.answer = () => {
    const answer = first ? { status: 200, delayMs: 3_000 } : undefined
    first = false
    return answer
  }
  const issued = await rig.issue(10)
  const feeder = await rig.feeder(['--request-timeout=500ms'])
  await arrived(rig, issued)
  await settled(feeder, issued)
  assert.ok(feeder.output.stdout.includes('no answer within 0.5 s'))
})

test('an event too old, one that is none and one of no known type go to the dead letters', async () => {
  const [old] = await rig.issue(1, { at: Date.now() - 25 * 3_600_000 })
  const [odd] = await rig.issue(1, { type: 'levitate' as 'open' })
  await rig.issueRaw('{not json')
  const good = await rig.issue(3, { at: Date.now() - 23.5 * 3_600_000 })
  const feeder = await rig.feeder()
  await arrived(rig, good)
  await settled(feeder, [...good])
  const letters = await rig.deadLetters()
  assert.deepEqual(letters.map(({ reason }) => reason).toSorted(), [
    'not readable as an event: no JSON',
    'not readable as an event: type: expected that of an event',
    'older than 24 hours, which the service drops',
  ])
  assert.ok(letters.some(({ event }) => event?.id === old?.id))
  assert.ok(letters.some(({ event }) => event?.id === odd?.id))
  assert.ok(letters.some(({ raw }) => raw === '{not json'))
})

test('--replay sends the dead letters again and ends', async () => {
  const issued = await rig.issue(30)
  rig.endpoint.answer = () => ({ status: 400 })
  const feeder = await rig.feeder()
  await settled(feeder, issued)
  assert.equal((await rig.deadLetters()).length, 30)
  await feeder.stop()
  rig.endpoint.answer = () => undefined
  const date = new Date().toISOString().slice(0, 10)
  const file = (await readdir(rig.deadLetterDir)).find(name => name.includes(date)) ?? ''
  const replay = await rig.feeder([`--replay=${join(rig.deadLetterDir, file)}`])
  assert.equal((await replay.exited).code, 0, replay.output.stdout)
  assert.equal(rig.endpoint.ledger.size, 30)
  assert.equal((await rig.deadLetters()).length, 30)
})

test('full dead letters keep events in the queue, until there is room', async () => {
  rig.endpoint.answer = ({ events }) => (events.some(event => event.type === 'click') ? { status: 400 } : undefined)
  const bad = await rig.issue(3, { type: 'click' })
  const good = await rig.issue(20)
  const feeder = await rig.feeder(['--dead-letter-max-bytes=100'])
  await arrived(rig, good)
  await until('health to say so', async () =>
    (await feeder.health()).reasons['dead-letters']?.includes('replay or remove'),
  )
  await until('only the bad ones to be left', async () => (await rig.waiting()) === bad.length)
  assert.deepEqual(await rig.deadLetters(), [])
  await feeder.stop()
  assert.equal(await rig.waiting(), bad.length)
})
