/** Several processes of one kind, seen through the first. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { request } from 'undici'
import { freePort, startProcess, until } from '../support/process.ts'

const program = fileURLToPath(new URL('program.ts', import.meta.url))

test('the sum of what all have counted does not fall when one ends', async () => {
  const port = await freePort()
  const args = [program, '--processes', '2', '--metrics-hostport', `127.0.0.1:${port}`]
  const first = await startProcess('node', args, { input: '' })
  const sums: number[] = []
  const sum = async () => {
    const { body } = await request(`http://127.0.0.1:${port}/metrics`)
    const found = Number(/^starts_total (\d+)$/m.exec(await body.text())?.[1])
    sums.push(found)
    return found
  }
  try {
    await until('both to be counted', async () => (await sum()) === 2, 30_000, 50)
    const pids = [...first.output.stdout.matchAll(/"pid":(\d+),"msg":"started"/g)].map(match => Number(match[1]))
    const sibling = pids.find(pid => pid !== first.pid)
    assert.ok(sibling !== undefined, first.output.stdout)
    process.kill(sibling, 'SIGKILL')
    await until('the new one to be counted', async () => (await sum()) === 3, 30_000, 50)
    assert.deepEqual(
      sums,
      sums.toSorted((a, b) => a - b),
    )
    const [one, two] = await Promise.all([sum(), sum()])
    assert.deepEqual([one, two], [3, 3], 'asked by two at once, both hear all')
  } finally {
    assert.equal((await first.stop()).code, 0)
  }
})
