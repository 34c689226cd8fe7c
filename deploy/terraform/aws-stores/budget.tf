# An alarm before the bill. Budgets counts the whole account, so take an account for the stores alone if you can.

resource "aws_sns_topic" "budget" {
  count = var.budget == null ? 0 : 1

  name = "${var.name}-budget"
  tags = local.tags
}

resource "aws_sns_topic_policy" "budget" {
  count = var.budget == null ? 0 : 1

  arn = aws_sns_topic.budget[0].arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "BudgetsTells"
      Effect    = "Allow"
      Principal = { Service = "budgets.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.budget[0].arn
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_budgets_budget" "this" {
  count = var.budget == null ? 0 : 1

  name         = "${var.name}-stores"
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_unit   = "USD"
  limit_amount = tostring(var.budget.usd_per_month)
  tags         = local.tags

  cost_filter {
    name   = "Service"
    values = ["Amazon Simple Storage Service", "AWS Data Transfer"]
  }

  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }
    content {
      notification_type          = notification.key
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = var.budget.emails
      subscriber_sns_topic_arns  = [aws_sns_topic.budget[0].arn]
    }
  }

  lifecycle {
    precondition {
      condition     = local.partition == "aws"
      error_message = "AWS Budgets counts only accounts of the partition aws in US dollars. Leave out budget in ${local.partition}, and set the alarm in the account that is billed."
    }
  }

  depends_on = [aws_sns_topic_policy.budget]
}
