import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'

/** MB of the space where objects are born, after much was born and some of it lived for a while. */
function nurseryMb(preamble: string): number {
  const program = `${preamble}
    import { getHeapSpaceStatistics } from 'node:v8'
    const kept = []
    for (let number = 0; number < 3e6; number++) kept[number % 20_000] = { number, more: [number] }
    console.log(getHeapSpaceStatistics().find(space => space.space_name === 'new_space').space_size)`
  return Number(execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })) / 1e6
}

test('the nursery stays small, also in the version of V8 at hand', () => {
  const small = nurseryMb(`import ${JSON.stringify(new URL('small-nursery.ts', import.meta.url).href)}`)
  assert.ok(small < 4, `${small} MB`)
  assert.ok(nurseryMb('') > small)
})
