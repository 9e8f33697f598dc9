/** Clients that hold connections without asking for anything must not cost others theirs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freePort, until } from '../support/process.ts'
import { slowClient } from '../support/raw-http.ts'
import { sized } from '../support/soak.ts'
import { startTracker, type TestTracker } from '../support/tracker.ts'

/** Connections of each kind. */
const clients = sized(150, 2000)

test('slow clients are shown out, and others are answered meanwhile', async t => {
  const tracker = await startTracker({ redisUrl: `redis://127.0.0.1:${await freePort()}` })
  try {
    // Redis is not there: the first answers wait for it.
    await medianOf(5, tracker)
    const alone = await medianOf(50, tracker)
    const unsubscribe = tracker.path({ action: 'list_unsubscribe' })
    const kinds: readonly string[] = [
      '',
      'GET /x HTTP/1.1\r\nHost: a\r\nX-Slow: ',
      `POST ${unsubscribe} HTTP/1.1\r\nHost: a\r\nContent-Length: 26\r\n\r\nList`,
      // Answered at once, and then silent.
      'GET /x HTTP/1.1\r\nHost: a\r\n\r\n',
    ]
    const slow = kinds.flatMap(says => Array.from({ length: clients }, () => slowClient(tracker.port, says)))
    const trickle = setInterval(() => {
      for (const { socket } of slow.slice(clients, 2 * clients)) if (socket.writable) socket.write('a')
    }, 200)
    let open = slow.length
    for (const { closed } of slow) void closed.then(() => open--)
    // This process has to connect them all, which holds up its own requests.
    await until('all slow clients to be connected', () => slow.every(({ socket }) => !socket.connecting), 30_000, 20)
    const amongSlow = await medianOf(50, tracker)
    t.diagnostic(`median of 50 answers: ${alone.toFixed(1)} ms alone, ${amongSlow.toFixed(1)} ms among slow clients`)
    // Limits: 5 s for a header, 10 s for a body, 5 s between requests; looked at every second.
    await until('all slow connections to be closed', () => open === 0, 30_000, 50)
    clearInterval(trickle)
    assert.equal(await tracker.metric('tracker_failures_total'), 0)
    assert.ok((await tracker.metric('process_resident_memory_bytes'))! < 300e6)
  } finally {
    await tracker.stop()
  }
})

/** Follows links one after the other; gives the median time to an answer, in ms. For people: machines differ. */
async function medianOf(count: number, tracker: TestTracker): Promise<number> {
  const times: number[] = []
  for (let n = 0; n < count; n++) {
    const began = performance.now()
    const answer = await fetch(tracker.url + tracker.path({ url: 'https://example.com/' }), { redirect: 'manual' })
    assert.equal(answer.status, 302)
    times.push(performance.now() - began)
  }
  return times.toSorted((a, b) => a - b)[Math.floor(count / 2)]!
}
