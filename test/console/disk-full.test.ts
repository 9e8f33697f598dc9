/** The console on a disk that is really full. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createTransport } from 'nodemailer'
import { postBatch, startConsole, storedEvents } from '../support/console.ts'
import { until } from '../support/process.ts'
import { smallDisk } from '../support/small-disk.ts'

const disk = smallDisk('tmpfs', 4 << 20)
after(() => typeof disk !== 'string' && disk.unmount())

let nextId = 1
function batch(): string[] {
  return Array.from({ length: 50 }, () => {
    const fields = {
      type: 'open',
      delv_method: 'esmtp',
      event_id: String(nextId++),
      message_id: 'm',
      timestamp: String(Math.floor(Date.now() / 1000)),
      user_agent: 'x'.repeat(2_000),
    }
    return JSON.stringify({ msys: { track_event: fields } })
  })
}

test('what does not fit is refused, what was confirmed is kept, and with space it goes on', async t => {
  if (typeof disk === 'string') {
    t.skip(disk)
    return
  }
  const it = await startConsole([`--data-dir=${join(disk.dir, 'data')}`])
  try {
    let accepted = 0
    const post = async () => {
      const { status } = await postBatch(it.url, batch())
      if (status === 200) accepted += 50
      return status
    }
    assert.equal(await post(), 200)
    disk.fill(1 << 20)
    const refused = await until('the disk to be full', async () => (await post()) !== 200 && post(), 60_000, 0)
    assert.equal(refused, 503)
    const health = await fetch(`${it.metricsUrl}/health`)
    assert.equal(health.status, 503)
    assert.match(await health.text(), /full|space/i)
    const transport = createTransport({ host: '127.0.0.1', port: it.smtpPort, tls: { rejectUnauthorized: false } })
    const mail = () => transport.sendMail({ from: 'a@b.example', to: 'c@d.example', text: 'x\n'.repeat(200_000) })
    await assert.rejects(mail(), { responseCode: 452 })
    assert.equal((await storedEvents(it.url)).length, accepted, 'what was confirmed can be read on the full disk')
    await it.crash()
    await it.restart()
    assert.equal((await storedEvents(it.url)).length, accepted, 'and after a start on it')
    await it.crash()
    disk.free()
    await it.restart()
    assert.equal((await storedEvents(it.url)).length, accepted, 'and after a crash')
    assert.equal(await post(), 200)
    assert.equal((await mail()).rejected.length, 0)
    disk.fill()
    await until('the disk to be full again', async () => (await post()) !== 200, 60_000, 0)
    const healthy = async () => (await fetch(`${it.metricsUrl}/health`)).ok
    assert.equal(await healthy(), false)
    disk.free()
    await until('health to say so though nobody sends anything', healthy, 30_000, 100)
  } finally {
    await it.stop()
  }
})
