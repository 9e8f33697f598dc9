import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { delivered, header, messageId, type Rig, setUp } from './rig.ts'

let rig: Rig
before(async () => {
  rig = await setUp()
})
after(() => rig.stop())

test('acct_etl stores what d records say of their messages, with a time to live, and exits 0 at the end', async () => {
  const etl = await rig.start([], `${header}\r\nd,bob@example.com,0000123456789abcdef0,42\r\n`)
  const { code } = await etl.exited
  assert.equal(code, 0, etl.output.stdout)
  assert.deepEqual(await rig.record('0000123456789abcdef0'), { recipient: 'bob@example.com', subaccount: 42 })
  const [key = ''] = await rig.redis.client.keys('mta:{*}:a:0000123456789abcdef0')
  const ttl = await rig.redis.client.ttl(key)
  assert.ok(ttl > 863_000 && ttl <= 864_000, String(ttl))
  assert.ok(!etl.output.stdout.includes('bob@'), 'an address in the log')
})

test('acct_etl knows the columns from the process before it', async () => {
  const etl = await rig.start([], delivered(1, 10))
  assert.equal((await etl.exited).code, 0)
  assert.deepEqual(await rig.record(messageId(3)), { recipient: 'reader-3@example.net', subaccount: 2 })
  assert.deepEqual(await rig.rejected(), [])
})
