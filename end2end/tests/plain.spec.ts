/** Without JavaScript: webhooks, tasks and events can be created, changed and deleted, and typed values stay. */
import {
  edit, expect, field, headersAsText, makeEvent, makeTask, makeWebhook, message, open, save, seeTitle, signIn, submit, test,
} from './fixtures.js';
import type { Page } from '@playwright/test';

/** Opens the question, cancels it, opens it again and confirms. */
async function confirmDelete(page: Page, question: string, button: string) {
  const dialog = page.getByRole('dialog', { name: question });
  await expect(dialog).toBeHidden();
  await page.getByRole('button', { name: 'Delete…' }).click();
  await expect(dialog).toBeVisible();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await expect(dialog).toBeHidden();
  await page.getByRole('button', { name: 'Delete…' }).click();
  await dialog.getByRole('button', { name: button }).click();
  await expect(page.getByRole('status').filter({ hasText: 'Deleted.' })).toBeVisible();
}

test('a webhook can be created, changed and deleted', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  await expect(field(page, 'Headers as text')).toHaveValue('Content-Type: application/json');
  await expect(page.getByRole('toolbar', { name: 'Headers' })).toHaveCount(0);
  await field(page, 'Name').fill('Chat');
  await field(page, 'URL').fill(hook.inbox);
  await field(page, 'Headers as text').fill('X-B: 2\n\nX-A:1\r\nX-B: 3');
  await save(page, 'Webhook: Chat');
  await expect(page.getByRole('region', { name: 'Headers' })).toHaveText('X-B: 2\nX-A: 1\nX-B: 3');

  await edit(page);
  await expect(field(page, 'Headers as text')).toHaveValue('X-B: 2\nX-A: 1\nX-B: 3');
  await field(page, 'Name').fill('Chat, new');
  await field(page, 'Headers as text').fill('X-A: 1\nX-B: 3');
  await field(page, 'Authorization Type').selectOption('Basic');
  await field(page, 'Username').fill('maria');
  await field(page, 'Password').fill('canary-81c2');
  await field(page, 'Method').selectOption('PUT');
  await save(page, 'Webhook: Chat, new');
  await expect(page.getByText('Basic, as maria')).toBeVisible();
  await expect(page.getByRole('region', { name: 'Headers' })).toHaveText('X-A: 1\nX-B: 3');
  expect(await page.content()).not.toContain('canary-81c2');

  await confirmDelete(page, 'Delete the webhook Chat, new?', 'Delete webhook');
  await expect(page.getByText('A webhook says where')).toBeVisible();
});

test('the note of a webhook keeps its lines, on its page and in the list', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'noted');
  await edit(page);
  await field(page, 'Note').fill('first\nsecond');
  await save(page, 'Webhook: noted');
  await expect(page.locator('dd', { hasText: 'first' })).toHaveText('first\nsecond');
  await edit(page);
  await expect(field(page, 'Note')).toHaveValue('first\nsecond');
  await open(page, hook, '/webhooks');
  await expect(page.locator('td', { hasText: 'noted' })).toHaveAttribute('title', 'first\nsecond');
});

test('a task can be created, changed and deleted', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'one');
  await makeWebhook(page, hook, 'two');
  await open(page, hook, '/tasks/new');
  await field(page, 'Name').fill('Tell');
  await field(page, 'Description').fill('first\nsecond');
  await field(page, 'Object').selectOption('one');
  await field(page, 'Message').fill('\n  kept: ${NAME}\n');
  await save(page, 'Task: Tell');
  await expect(page.getByRole('link', { name: 'one', exact: true })).toBeVisible();

  await edit(page);
  await expect(field(page, 'Description')).toHaveValue('first\nsecond');
  await expect(field(page, 'Message')).toHaveValue('\n  kept: ${NAME}\n');
  await expect(field(page, 'Object').locator('option:checked')).toHaveText('one');
  await field(page, 'Name').fill('Tell two');
  await field(page, 'Object').selectOption('two');
  await field(page, 'Enabled').uncheck();
  await save(page, 'Task: Tell two');
  await expect(page.getByRole('main').getByText('Disabled')).toBeVisible();
  await expect(page.getByRole('link', { name: 'two', exact: true })).toBeVisible();

  await confirmDelete(page, 'Delete the task Tell two?', 'Delete task');
  await expect(page.getByText('A task says what to do')).toBeVisible();
});

test('an event can be created, changed and deleted', async ({ page, hook }) => {
  await signIn(page, hook);
  await hook.post({ type: 'vms', event: 'created', object: { id: 'vm-1', name: 'web-01' } });
  await makeWebhook(page, hook, 'w');
  await makeTask(page, hook, 't', 'w');
  await makeEvent(page, hook, 'Power On', 't', 'web-01');
  await expect(field(page, 'Object')).toHaveValue('vm-1');

  await field(page, 'Event').selectOption('Alarms: Raised');
  await field(page, 'Object').fill('web-99');
  await submit(page);
  await expect(page.getByText('Alarms have no objects')).toBeVisible();
  await field(page, 'Object').fill('');
  await field(page, 'Level').selectOption('error');
  await field(page, 'Enabled').uncheck();
  await submit(page);
  await seeTitle(page, 'Event: Raised');
  await expect(field(page, 'Level').locator('option:checked')).toHaveText('error');
  await expect(field(page, 'Enabled')).not.toBeChecked();

  await open(page, hook, '/events');
  await page.getByRole('checkbox', { name: /^Select Alarms: Raised/ }).check();
  await confirmDelete(page, 'Delete the checked events?', 'Delete events');
  await expect(page.getByText('An event says when')).toBeVisible();
});

test('a refused form keeps all values but secrets', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  await field(page, 'Name').fill('Chat');
  await field(page, 'URL').fill('example.com/hook');
  await (await headersAsText(page)).fill('X-A: 1\n\n  X-B 2');
  await field(page, 'Method').selectOption('PATCH');
  await field(page, 'Sign Messages').check();
  await field(page, 'Signing Secret').fill('short');
  await submit(page);
  await expect(await message(page, 'URL')).toBeVisible();
  await expect(await message(page, 'Headers as text')).toContainText('Line 3');
  await expect(field(page, 'Name')).toHaveValue('Chat');
  await expect(field(page, 'URL')).toHaveValue('example.com/hook');
  await expect(field(page, 'Headers as text')).toHaveValue('X-A: 1\n\n  X-B 2');
  await expect(field(page, 'Method')).toHaveValue('PATCH');
  await expect(field(page, 'Sign Messages')).toBeChecked();
  // Only secrets must be entered again.
  await expect(field(page, 'Signing Secret')).toHaveValue('');

  await makeWebhook(page, hook, 'w');
  await open(page, hook, '/tasks/new');
  await field(page, 'Description').fill('about it');
  await field(page, 'Delete Task After Running').check();
  await field(page, 'Object').selectOption('w');
  await field(page, 'Message').fill('\n\nkept ');
  await submit(page);
  await expect(await message(page, 'Name')).toBeVisible();
  await expect(field(page, 'Description')).toHaveValue('about it');
  await expect(field(page, 'Delete Task After Running')).toBeChecked();
  await expect(field(page, 'Object').locator('option:checked')).toHaveText('w');
  await expect(field(page, 'Message')).toHaveValue('\n\nkept ');

  await makeTask(page, hook, 't', 'w');
  await open(page, hook, '/events/new');
  await field(page, 'Event').selectOption('Logs: Log Created');
  await field(page, 'Use Tag').check();
  await field(page, 'Source').fill('kernel');
  await field(page, 'Task').selectOption('t');
  await submit(page);
  await expect(page.getByText('carry no tags. Turn Use Tag off.')).toBeVisible();
  await expect(field(page, 'Event').locator('option:checked')).toHaveText('Logs: Log Created');
  await expect(field(page, 'Use Tag')).toBeChecked();
  await expect(field(page, 'Source')).toHaveValue('kernel');
  await expect(field(page, 'Task').locator('option:checked')).toHaveText('t');
});
