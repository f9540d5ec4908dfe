from books.models import Book
from django.http import JsonResponse
from django.urls import path


def health(request):
    return JsonResponse({"books": Book.objects.count()})


def books(request):
    return JsonResponse({"books": list(Book.objects.order_by("title").values("title", "author__name", "year"))})


urlpatterns = [path("health/", health), path("books/", books)]
