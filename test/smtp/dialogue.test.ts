/** Each file in dialogues/ is one test. */
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { playDialogue } from './dialogue.ts'

const folder = new URL('dialogues/', import.meta.url)
for (const name of readdirSync(folder)
  .filter(file => file.endsWith('.txt'))
  .toSorted()) {
  test(name.slice(0, -4).replaceAll('-', ' '), async () => {
    await playDialogue(readFileSync(new URL(name, folder), 'utf8'))
  })
}
