import {
  edit, expect, field, headersAsText, isPlain, makeWebhook, message, open, save, seeTitle, signIn, submit, test,
} from './fixtures.js';

test('a refused webhook shows a message per wrong field and keeps typed values', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  await field(page, 'Name').fill('x'.repeat(129));
  await field(page, 'URL').fill('ftp://example.com/');
  await field(page, 'Authorization Type').selectOption('Bearer');
  await field(page, 'Authorization Token').fill('Bearer xyz');
  await (await headersAsText(page)).fill('Good: 1\nno colon\nHost: x');
  await field(page, 'Allow Insecure Certificates').check();
  await field(page, 'Timeout').fill('2');
  await field(page, 'Retries').fill('many');
  await field(page, 'Note').fill('x'.repeat(501));
  await submit(page);

  await expect(await message(page, 'Name')).toContainText('129 characters; 128 are the most');
  await expect(await message(page, 'URL')).toContainText('Only http:// and https:// URLs');
  await expect(await message(page, 'Authorization Token')).toContainText('without the word Bearer');
  await expect(await message(page, 'Headers as text')).toContainText('Line 2');
  await expect(await message(page, 'Timeout')).toContainText('from 3 to 120 seconds');
  await expect(await message(page, 'Retries')).toContainText('from 0 to 100');
  await expect(await message(page, 'Note')).toContainText('501 characters; 500 are the most');
  // Seven fields: the two wrong lines belong to one field.
  await expect(page.getByText('7 fields need attention')).toBeVisible();
  await expect(page.getByText('Anyone between here and the target')).toBeVisible();

  await expect(field(page, 'Name')).toHaveValue('x'.repeat(129));
  await expect(field(page, 'URL')).toHaveValue('ftp://example.com/');
  await expect(field(page, 'Headers as text')).toHaveValue('Good: 1\nno colon\nHost: x');
  await expect(field(page, 'Allow Insecure Certificates')).toBeChecked();
  await expect(field(page, 'Timeout')).toHaveValue('2');
  await expect(field(page, 'Retries')).toHaveValue('many');
  await expect(field(page, 'Note')).toHaveValue('x'.repeat(501));

  await open(page, hook, '/webhooks');
  await expect(page.getByText('A webhook says where')).toBeVisible();
});

test('an error that only the server can find is shown under its field', async ({ page, hook }) => {
  await signIn(page, hook);
  const make = async (name: string, url: string) => {
    await open(page, hook, '/webhooks/new');
    await field(page, 'Name').fill(name);
    await field(page, 'URL').fill(url);
    await submit(page);
  };
  await make('one', hook.inbox);
  await seeTitle(page, 'Webhook: one');
  await make('one', hook.inbox);
  await expect(await message(page, 'Name')).toContainText('already a webhook with this name');
  await make('two', 'http://169.254.169.254/latest/meta-data');
  await expect(await message(page, 'URL')).toContainText('link-local or metadata address');
  await make('three', hook.url);
  await expect(await message(page, 'URL')).toContainText("this console's own listener");
});

test('changing the target of a webhook demands its secret again', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  await field(page, 'Name').fill('sealed');
  await field(page, 'URL').fill('http://127.0.0.1:9/a');
  await field(page, 'Authorization Type').selectOption('Bearer');
  await field(page, 'Authorization Token').fill('canary-4f7a');
  await save(page, 'Webhook: sealed');
  expect(await page.content()).not.toContain('canary-4f7a');
  await open(page, hook, '/webhooks/1/edit');
  expect(await page.content()).not.toContain('canary-4f7a');
  await expect(field(page, 'Authorization Token')).toHaveValue('');

  await field(page, 'URL').fill('http://127.0.0.1:9/b');
  await save(page, 'Webhook: sealed');
  await open(page, hook, '/webhooks/1/edit');
  await expect(field(page, 'URL')).toHaveValue('http://127.0.0.1:9/b');
  await field(page, 'URL').fill('http://127.0.0.1:10/b');
  await submit(page);
  await expect(await message(page, 'Authorization Token')).toContainText('Enter the token again');
  await expect(field(page, 'URL')).toHaveValue('http://127.0.0.1:10/b');
});

test('a saved form can be edited and saved again', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'first');
  for (const name of ['second', 'third']) {
    await edit(page);
    await field(page, 'Name').fill(name);
    await save(page, `Webhook: ${name}`);
  }
});

test('refused tasks and events show a message per wrong field', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/tasks/new');
  await field(page, 'Name').fill('x'.repeat(65));
  await field(page, 'Message').fill('kept\n as typed ');
  await submit(page);
  await expect(await message(page, 'Name')).toContainText('64 are the most');
  await expect(await message(page, 'Object')).toContainText('Choose a webhook');
  await expect(field(page, 'Message')).toHaveValue('kept\n as typed ');
  await expect(field(page, 'Enabled')).toBeChecked();

  await open(page, hook, '/events/new');
  await field(page, 'Enabled').uncheck();
  await submit(page);
  // With dependent selects, the first one shows the message.
  await expect(await message(page, isPlain() ? 'Event' : 'Type')).toContainText('Choose what should start the task');
  await expect(await message(page, 'Task')).toContainText('Choose a task');
  await expect(field(page, 'Enabled')).not.toBeChecked();
});

test('a wrong password shows one message and keeps the name', async ({ page, hook }) => {
  await open(page, hook, '/sign-in');
  await field(page, 'Name').fill('maria');
  await field(page, 'Password').fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toContainText('do not belong together');
  await expect(field(page, 'Name')).toHaveValue('maria');
});
