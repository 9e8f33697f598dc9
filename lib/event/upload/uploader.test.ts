import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import pino from 'pino'
import { Registry } from 'prom-client'
import { Health } from '../../process/health.ts'
import type { HttpAnswer } from './answer.ts'
import type { Destination } from './destination.ts'
import type { HttpRequest } from './transport.ts'
import { refusalsInRowMax } from './ingest-service.ts'
import { Uploader, type UploaderOptions } from './uploader.ts'

/** Time that passes as soon as somebody waits for it. */
class LeapingClock {
  timeMs = 0
  readonly waits: number[] = []
  now = () => this.timeMs
  elapsed = () => this.timeMs
  wait = async (ms: number, signal: AbortSignal) => {
    await new Promise<void>(resolve => setImmediate(resolve))
    if (signal.aborted) return
    this.waits.push(ms)
    this.timeMs += ms
  }
}

interface Service {
  /** What is answered to a request with these numbers. A string is a failure of the connection. */
  answer: (items: number[], request: HttpRequest, attempt: number) => number | Partial<HttpAnswer> | string
}

function setUp(
  service: Service,
  more: Partial<UploaderOptions<number>> = {},
  destination: Partial<Destination<number>> = {},
) {
  const clock = new LeapingClock()
  const health = new Health()
  const requests: number[][] = []
  const received: number[] = []
  const uploader = new Uploader<number>({
    destination: {
      name: 'test',
      url: 'http://127.0.0.1/x',
      encode: async items => ({ body: Buffer.from(JSON.stringify(items)), headers: {}, rawBytes: 1 }),
      credentials: () => ({}),
      reloadCredentials: async () => false,
      readAnswer: () => ({}),
      ...destination,
    },
    transport: {
      send: async request => {
        await Promise.resolve()
        const items = JSON.parse(Buffer.from(request.body ?? []).toString()) as number[]
        requests.push(items)
        const answer = service.answer(items, request, requests.length)
        if (typeof answer === 'string') throw new Error(answer)
        const full = {
          status: 200,
          headers: {},
          body: '',
          ...(typeof answer === 'number' ? { status: answer } : answer),
        }
        if (full.status === 200) received.push(...items)
        return full
      },
      close: async () => undefined,
    },
    log: pino({ level: 'silent' }),
    health,
    metrics: new Registry(),
    prefix: 'test',
    clock,
    random: () => 0.5,
    ...more,
  })
  return { uploader, clock, health, requests, received }
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i)
const sorted = (items: readonly number[]) => items.toSorted((a, b) => a - b)

test('upload finds the one refused item among 10,000 and delivers all others', async () => {
  const { uploader, requests, received } = setUp({ answer: items => (items.includes(7_777) ? 400 : 200) })
  const outcome = await uploader.upload(range(10_000))
  assert.deepEqual(outcome.refused, [{ item: 7_777, reason: 'HTTP 400' }])
  assert.deepEqual(
    sorted(received),
    range(10_000).filter(n => n !== 7_777),
  )
  assert.ok(requests.length <= 1 + 2 * 14, `${requests.length} requests`)
})

test('upload of 100 with one refused item costs at most 14 requests more, wherever it is', async () => {
  for (const poison of range(100)) {
    const { uploader, requests } = setUp({ answer: items => (items.includes(poison) ? 422 : 200) })
    const { refused } = await uploader.upload(range(100))
    assert.deepEqual(
      refused.map(one => one.item),
      [poison],
    )
    assert.ok(requests.length <= 15, `${requests.length} requests for ${poison}`)
  }
})

test('upload halves what is too large and refuses a single item that is', async () => {
  const { uploader, received } = setUp({ answer: items => (items.length > 10 || items.includes(3) ? 413 : 200) })
  const outcome = await uploader.upload(range(64))
  assert.deepEqual(outcome.refused, [{ item: 3, reason: 'HTTP 413' }])
  assert.deepEqual(
    sorted(received),
    range(64).filter(n => n !== 3),
  )
})

test('upload retries 5xx, 429 and lost connections on schedule with the same bytes', async () => {
  const script = [500, 'no connection (ECONNRESET)', 429, 503, 502, 504, 500, 500, 200]
  const { uploader, requests, clock, health } = setUp({ answer: (_, __, attempt) => script[attempt - 1] ?? 200 })
  const outcome = await uploader.upload([1, 2, 3])
  assert.deepEqual(outcome.accepted, [1, 2, 3])
  assert.deepEqual(clock.waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000])
  assert.equal(new Set(requests.map(one => JSON.stringify(one))).size, 1)
  assert.equal(health.report().status, 'ok')
})

test('upload waits as long as Retry-After says', async () => {
  const { uploader, clock } = setUp({
    answer: (_, __, attempt) => (attempt === 1 ? { status: 429, headers: { 'retry-after': '42' } } : 200),
  })
  await uploader.upload([1])
  assert.deepEqual(clock.waits, [42_000])
})

test('an outage of ten minutes costs at most 20 requests, however many batches wait', async () => {
  const { uploader, clock, requests } = setUp({ answer: () => (clock.timeMs < 600_000 ? 503 : 200) })
  const outcomes = await Promise.all(range(8).map(n => uploader.upload([n])))
  const during = requests.length - 8
  assert.ok(during <= 20 + 7, `${during} requests`)
  assert.deepEqual(
    outcomes.flatMap(one => one.accepted),
    range(8),
  )
})

test('a refused key keeps everything, turns health red and is tried once a minute until it is mended', async () => {
  let key = 'old'
  let file = 'old'
  const { uploader, clock, health, requests } = setUp(
    {
      answer: (_, request, attempt) => {
        if (attempt === 5) {
          assert.match(health.report().reasons['upload'] ?? '', /check key/)
          file = 'new'
        }
        return request.headers['authorization'] === 'new' ? 200 : 401
      },
    },
    {},
    {
      credentials: () => ({ authorization: key }),
      reloadCredentials: async () => {
        const changed = key !== file
        key = file
        return changed
      },
    },
  )
  const outcome = await uploader.upload([1, 2])
  assert.deepEqual(outcome.accepted, [1, 2])
  assert.equal(requests.length, 6)
  assert.deepEqual(clock.waits, [60_000, 60_000, 60_000, 60_000])
  assert.equal(health.report().status, 'ok')
})

test('a batch that the service can not digest is cut down while others pass', async () => {
  const { uploader, received } = setUp({ answer: items => (items.includes(13) ? 500 : 200) })
  const others = (async () => {
    for (const n of range(40)) await uploader.upload([1000 + n])
  })()
  const outcome = await uploader.upload(range(32))
  await others
  assert.equal(outcome.refused.length, 1)
  assert.equal(outcome.refused[0]?.item, 13)
  assert.match(outcome.refused[0]?.reason ?? '', /HTTP 500, \d+ times while others pass/)
  assert.equal(received.length, 31 + 40)
})

test('a batch that the service can not digest is found out also when it is the only one', async () => {
  const { uploader, received } = setUp({ answer: items => (items.includes(5) ? 500 : 200) })
  const outcome = await uploader.upload(range(16))
  assert.deepEqual(
    outcome.refused.map(one => one.item),
    [5],
  )
  assert.deepEqual(
    sorted(received),
    range(16).filter(n => n !== 5),
  )
})

test('a long outage ends with the batches as they were', async () => {
  const { uploader, clock, requests } = setUp({ answer: () => (clock.timeMs < 6 * 3_600_000 ? 503 : 200) })
  const outcome = await uploader.upload(range(100))
  assert.deepEqual(outcome.accepted.length, 100)
  assert.ok((requests.at(-1)?.length ?? 0) >= 99)
})

test('a service that refuses everything does not get everything thrown away', async () => {
  const { uploader, clock, health } = setUp({ answer: () => (clock.timeMs < 600_000 ? 400 : 200) })
  const items = range(refusalsInRowMax + 500)
  const outcome = await uploader.upload(items)
  assert.equal(outcome.refused.length, refusalsInRowMax)
  assert.equal(outcome.accepted.length, 500)
  assert.equal(health.report().status, 'ok')
})

test('stop gives back what is not sent', async () => {
  const { uploader } = setUp({
    answer: (_, __, attempt) => {
      if (attempt === 3) uploader.stop(0)
      return 503
    },
  })
  const outcome = await uploader.upload([1, 2, 3])
  assert.deepEqual(outcome, { accepted: [], refused: [], unsent: [1, 2, 3], batches: [] })
})

test('giveUp drops items that are not worth another try', async () => {
  const { uploader, clock } = setUp(
    { answer: () => (clock.timeMs < 60_000 ? 503 : 200) },
    { giveUp: (item, nowMs) => (item === 2 && nowMs > 10_000 ? 'too old' : undefined) },
  )
  const outcome = await uploader.upload([1, 2, 3])
  assert.deepEqual(outcome.refused, [{ item: 2, reason: 'too old' }])
  assert.deepEqual(outcome.accepted, [1, 3])
})

test('an item that can not be encoded is refused alone', async () => {
  const { uploader } = setUp(
    { answer: () => 200 },
    {},
    {
      encode: async items => {
        if (items.includes(4)) throw new Error('no form for it')
        return { body: Buffer.from(JSON.stringify(items)), headers: {}, rawBytes: 1 }
      },
    },
  )
  const outcome = await uploader.upload(range(8))
  assert.deepEqual(outcome.refused, [{ item: 4, reason: "can't be encoded: no form for it" }])
  assert.equal(outcome.accepted.length, 7)
})

test('items refused in a 2xx answer come back as refused', async () => {
  const { uploader } = setUp(
    { answer: () => 200 },
    {},
    { readAnswer: () => ({ batchId: 'b', refused: [{ index: 1, reason: 'bad' }] }) },
  )
  const outcome = await uploader.upload([10, 11, 12])
  assert.deepEqual(outcome, {
    accepted: [10, 12],
    refused: [{ item: 11, reason: 'bad' }],
    unsent: [],
    batches: [{ id: 'b', items: [10, 12] }],
  })
})

test('every item comes back exactly once, whatever the service answers', async () => {
  const answers = fc.constantFrom<(number | string)[]>(
    200,
    200,
    200,
    204,
    302,
    400,
    401,
    408,
    413,
    422,
    429,
    500,
    503,
    'cut',
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(answers, { maxLength: 60 }),
      fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 4 }),
      fc.option(fc.integer({ min: 1, max: 30 })),
      async (script, sizes, stopAt) => {
        let next = 0
        const { uploader } = setUp({
          answer: (_, __, attempt) => {
            if (attempt === stopAt) uploader.stop(0)
            return script[next++] ?? 200
          },
        })
        let first = 0
        const batches = sizes.map(size => range(size).map(n => first++ + n * 0))
        const outcomes = await Promise.all(batches.map(batch => uploader.upload(batch)))
        for (const [index, outcome] of outcomes.entries()) {
          const back = [...outcome.accepted, ...outcome.refused.map(one => one.item), ...outcome.unsent]
          assert.deepEqual(sorted(back), batches[index])
        }
      },
    ),
    { numRuns: 300 },
  )
})
