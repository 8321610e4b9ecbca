import { relations } from 'drizzle-orm'
import { bigint, integer, numeric, pgTable, text, timestamp } from 'drizzle-orm/pg-core'

export const accounts = pgTable('accounts', {
  id: integer().primaryKey(),
  owner: text().notNull(),
  balance: numeric({ precision: 12, scale: 2 }).notNull(),
})

export const orders = pgTable('orders', {
  id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  accountId: integer('account_id').notNull(),
  item: text().notNull(),
  total: numeric({ precision: 10, scale: 2 }).notNull(),
  orderedAt: timestamp('ordered_at').notNull().defaultNow(),
})

const accountRelations = relations(accounts, ({ many }) => ({ orders: many(orders) }))
const orderRelations = relations(orders, ({ one }) => ({
  account: one(accounts, { fields: [orders.accountId], references: [accounts.id] }),
}))

export const schema = { accounts, orders, accountRelations, orderRelations }
