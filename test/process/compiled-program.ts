/** A program for the test of how one is loaded from what was compiled before: says how it was started. */
import { text } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import { compiledBefore } from '../../lib/process/compiled-before.ts'

const [part = ''] = process.argv.slice(2)
const { word } = await compiledBefore(async () => (await import(pathToFileURL(part).href)) as { word: string })
// Not documented, but the only place that tells whether Node has loaded what strips types.
const { moduleLoadList } = process as unknown as { moduleLoadList: readonly string[] }
console.log(
  JSON.stringify({
    word,
    pid: process.pid,
    args: process.argv.slice(3),
    flags: process.execArgv,
    input: await text(process.stdin),
    compiledIn: process.env['NODE_COMPILE_CACHE'],
    malloc: [process.env['MALLOC_ARENA_MAX'], process.env['MALLOC_TRIM_THRESHOLD_']],
    strips: moduleLoadList.some(name => name.includes('amaro')),
  }),
)
