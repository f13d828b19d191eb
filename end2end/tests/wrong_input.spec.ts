import { alive, expect, open, signIn, submit, test } from './fixtures.js';
import type { Page } from '@playwright/test';

/** The message that the field points at. */
async function message(page: Page, label: string) {
  const field = page.getByLabel(label, { exact: false }).first();
  await expect(field).toHaveAttribute('aria-invalid', 'true');
  const id = await field.getAttribute('aria-describedby');
  return page.locator(`#${id}`);
}

test('a wrong webhook is explained field by field and nothing typed is lost', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  await page.getByLabel('Name*', { exact: false }).first().fill('x'.repeat(129));
  await page.getByLabel('URL').fill('ftp://example.com/');
  await page.getByLabel('Authorization Type').selectOption('Bearer');
  await page.getByLabel('Authorization Token').fill('Bearer xyz');
  await page.getByLabel('Headers').fill('Good: 1\nno colon\nHost: x');
  await page.getByLabel('Allow Insecure Certificates').check();
  await page.getByLabel('Timeout').fill('2');
  await page.getByLabel('Retries').fill('many');
  await submit(page);

  await expect(await message(page, 'Name*')).toContainText('129 characters; 128 are the most');
  await expect(await message(page, 'URL')).toContainText('Only http:// and https:// URLs');
  await expect(await message(page, 'Authorization Token')).toContainText('without the word Bearer');
  await expect(await message(page, 'Headers')).toContainText('Line 2');
  await expect(await message(page, 'Timeout')).toContainText('from 3 to 120 seconds');
  await expect(await message(page, 'Retries')).toContainText('from 0 to 100');
  // Six fields: the two wrong lines are in one.
  await expect(page.getByText('6 fields need attention')).toBeVisible();
  await expect(page.getByText('Anyone between here and the target')).toBeVisible();

  await expect(page.getByLabel('Name*', { exact: false }).first()).toHaveValue('x'.repeat(129));
  await expect(page.getByLabel('URL')).toHaveValue('ftp://example.com/');
  await expect(page.getByLabel('Headers')).toHaveValue('Good: 1\nno colon\nHost: x');
  await expect(page.getByLabel('Allow Insecure Certificates')).toBeChecked();
  await expect(page.getByLabel('Timeout')).toHaveValue('2');
  await expect(page.getByLabel('Retries')).toHaveValue('many');

  await open(page, hook, '/webhooks');
  await expect(page.getByText('A webhook says where')).toBeVisible();
});

test('what only the server can know is said under its field', async ({ page, hook }) => {
  await signIn(page, hook);
  const make = async (name: string, url: string) => {
    await open(page, hook, '/webhooks/new');
    await page.getByLabel('Name*', { exact: false }).first().fill(name);
    await page.getByLabel('URL').fill(url);
    await submit(page);
  };
  await make('one', hook.inbox);
  await expect(page.getByRole('heading', { level: 1, name: 'Webhook: one' })).toBeVisible();
  await make('one', hook.inbox);
  await expect(await message(page, 'Name*')).toContainText('already a webhook with this name');
  await make('two', 'http://169.254.169.254/latest/meta-data');
  await expect(await message(page, 'URL')).toContainText('link-local or metadata address');
  await make('three', hook.url);
  await expect(await message(page, 'URL')).toContainText("this console's own listener");
});

test('moving a webhook to another target demands its secret again', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  await page.getByLabel('Name*', { exact: false }).first().fill('sealed');
  await page.getByLabel('URL').fill('http://127.0.0.1:9/a');
  await page.getByLabel('Authorization Type').selectOption('Bearer');
  await page.getByLabel('Authorization Token').fill('canary-4f7a');
  await submit(page);
  await expect(page.getByRole('heading', { level: 1, name: 'Webhook: sealed' })).toBeVisible();
  await alive(page);
  expect(await page.content()).not.toContain('canary-4f7a');

  await page.getByLabel('URL').fill('http://127.0.0.1:9/b');
  await submit(page);
  await expect(page.locator('[aria-invalid="true"]')).toHaveCount(0);
  await open(page, hook, page.url().replace(hook.url, ''));
  await expect(page.getByLabel('URL')).toHaveValue('http://127.0.0.1:9/b');
  await page.getByLabel('URL').fill('http://127.0.0.1:10/b');
  await submit(page);
  await expect(await message(page, 'Authorization Token')).toContainText('Enter the token again');
  await expect(page.getByLabel('URL')).toHaveValue('http://127.0.0.1:10/b');
});

test('a form that was saved can be saved again', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  await page.getByLabel('Name*', { exact: false }).first().fill('first');
  await page.getByLabel('URL').fill(hook.inbox);
  await submit(page);
  await expect(page.getByRole('heading', { level: 1, name: 'Webhook: first' })).toBeVisible();
  for (const name of ['second', 'third']) {
    await alive(page);
    await page.getByLabel('Name*', { exact: false }).first().fill(name);
    await submit(page);
    await expect(page.getByRole('heading', { level: 1, name: `Webhook: ${name}` })).toBeVisible();
  }
});

test('wrong tasks and events are explained', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/tasks/new');
  await page.getByLabel('Name').fill('x'.repeat(65));
  await page.getByLabel('Message').fill('kept\n as typed ');
  await submit(page);
  await expect(await message(page, 'Name')).toContainText('64 are the most');
  await expect(await message(page, 'Webhook')).toContainText('Choose a webhook');
  await expect(page.getByLabel('Message')).toHaveValue('kept\n as typed ');
  await expect(page.getByLabel('Enabled')).toBeChecked();

  await open(page, hook, '/events/new');
  await page.getByLabel('Enabled').uncheck();
  await submit(page);
  await expect(await message(page, 'Event*')).toContainText('Choose what should start the task');
  await expect(await message(page, 'Task*')).toContainText('Choose a task');
  await expect(page.getByLabel('Enabled')).not.toBeChecked();
});

test('a wrong password says no more than that', async ({ page, hook }) => {
  await open(page, hook, '/sign-in');
  await page.getByLabel('Name').fill('maria');
  await page.getByLabel('Password', { exact: false }).first().fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toContainText('do not belong together');
  await expect(page.getByLabel('Name')).toHaveValue('maria');
});
