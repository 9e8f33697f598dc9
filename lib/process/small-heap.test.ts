import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

/** MB of V8's heap after much was born and some of it lived for a while, and of it the space where objects are born. */
function heapMb(preamble: string): { nursery: number; peak: number; buffers: number } {
  const program = `${preamble}
    import { getHeapSpaceStatistics } from 'node:v8'
    const kept = []
    let [peak, buffers] = [0, 0]
    for (let number = 0; number < 2e6; number++) {
      kept[number % 50_000] = { number, more: [number] }
      if (number % 20 === 0) kept[number % 50_000].buffer = Buffer.allocUnsafeSlow(4096)
      if (number % 1000 !== 0) continue
      const { heapTotal, arrayBuffers } = process.memoryUsage()
      peak = Math.max(peak, heapTotal)
      buffers = Math.max(buffers, arrayBuffers)
    }
    const nursery = getHeapSpaceStatistics().find(space => space.space_name === 'new_space').space_size
    console.log(JSON.stringify({ nursery: nursery / 1e6, peak: peak / 1e6, buffers: buffers / 1e6 }))`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
  // V8 writes there what it thinks of flags.
  assert.equal(stderr, '')
  return JSON.parse(stdout) as ReturnType<typeof heapMb>
}

const usual = heapMb('')

for (const nurseryMb of [1, 2]) {
  test(`the heap stays small with ${nurseryMb} MiB for what is born, also in the version of V8 at hand`, () => {
    const small = heapMb(`
      import { keepHeapSmall } from ${JSON.stringify(new URL('small-heap.ts', import.meta.url).href)}
      keepHeapSmall({ growthPercent: 10, withBuffers: true, nurseryMb: ${nurseryMb} })`)
    const facts = JSON.stringify({ small, usual })
    // It is there twice, and may have grown a little before it was told to stay as it is.
    assert.ok(small.nursery > nurseryMb && small.nursery < usual.nursery / 2, facts)
    // By how much depends on how busy the machine is.
    assert.ok(small.peak < usual.peak, facts)
  })
}
