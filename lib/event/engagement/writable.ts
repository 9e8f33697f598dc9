/** The same members, to be set one after the other while it is made. */
export type Writable<Type> = { -readonly [Member in keyof Type]: Type[Member] }
