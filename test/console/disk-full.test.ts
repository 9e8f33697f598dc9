/** The console on a disk that is really full: a small tmpfs, which only root can mount. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createTransport } from 'nodemailer'
import { postBatch, startConsole, storedEvents } from '../support/console.ts'
import { until } from '../support/process.ts'

let dir = ''
let isMounted = false
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'console-full-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', dir], { stdio: 'ignore' })
    isMounted = true
  } catch {
    // Not root, or in a container that may not mount.
  }
})
after(() => {
  if (isMounted) execFileSync('umount', [dir])
  rmSync(dir, { recursive: true, force: true })
})

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
  if (!isMounted) {
    t.skip('mounting a tmpfs needs root')
    return
  }
  const filler = join(dir, 'filler')
  writeFileSync(filler, Buffer.alloc(1 << 20))
  const it = await startConsole([`--data-dir=${join(dir, 'data')}`])
  try {
    let accepted = 0
    const post = async () => {
      const { status } = await postBatch(it.url, batch())
      if (status === 200) accepted += 50
      return status
    }
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
    rmSync(filler)
    await it.restart()
    assert.equal((await storedEvents(it.url)).length, accepted, 'and after a crash')
    assert.equal(await post(), 200)
    assert.equal((await mail()).rejected.length, 0)
  } finally {
    await it.stop()
  }
})
